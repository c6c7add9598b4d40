use super::*;
use crate::fake::Fake;
use crate::gfn::Gfn;
use crate::rules::RuleSet;

#[test]
fn an_image_keeps_the_bytes_of_its_birth_and_outlives_its_guest() {
    let fake = Arc::new(Fake::new(8, 10_000));
    let family = Family::new(Arc::clone(&fake), RuleSet::SingleRefcount.into(), 8);
    let root = AddressSpace::root(&family).unwrap();
    fake.cpu_write(root.window(), Gfn(3), 1, 7).unwrap();
    let image = root.snapshot().unwrap();
    assert!(fake.cpu_write(root.window(), Gfn(3), 1, 8).is_err(), "shared, so protected");
    root.fault(Gfn(3), true).unwrap();
    fake.cpu_write(root.window(), Gfn(3), 1, 8).unwrap();
    drop(root);
    family.audit([]).unwrap();

    let clones: Vec<_> = (0..20).map(|_| image.spawn().unwrap()).collect();
    for (clone, stamp) in clones.iter().zip(100..) {
        assert_eq!(fake.cpu_read(clone.window(), Gfn(3)), Ok([0, 7]));
        clone.fault(Gfn(3), true).unwrap();
        fake.cpu_write(clone.window(), Gfn(3), 1, stamp).unwrap();
    }
    assert_eq!(fake.cpu_read(image.spawn().unwrap().window(), Gfn(3)), Ok([0, 7]));
    assert_eq!(clones[0].census().private, 1);
    assert_eq!(family.counters().now().copied, 21);
    family.audit([]).unwrap();
    drop((clones, image));
    assert_eq!((family.layers(), fake.objects()), (0, (0, 0, 0)));
}
