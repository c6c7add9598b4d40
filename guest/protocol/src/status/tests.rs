use super::*;

#[test]
fn a_status_survives_the_mailbox() {
    for status in [Status::Ok, Status::Unknown, Status::BadArgument, Status::NoDisk, Status::Full] {
        assert_eq!(Status::from_number(status as u64), Some(status));
    }
    assert_eq!(Status::from_number(5), None);
}
