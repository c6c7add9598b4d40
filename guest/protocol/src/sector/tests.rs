use super::*;

const HEADER: SectorHeader = SectorHeader { salt: 1, sequence: 2, sector: 3, seed: 4 };

#[test]
fn a_sector_is_told_by_its_words() {
    assert_eq!(Content::of(&HEADER.words()), Content::Whole(HEADER));
    assert_eq!(Content::of(&[0; SECTOR_WORDS]), Content::Zeros);
    assert_eq!(Content::of(&[7; SECTOR_WORDS]), Content::Broken);
}

#[test]
fn every_changed_word_is_noticed() {
    for index in 0..SECTOR_WORDS {
        let mut words = HEADER.words();
        words[index] ^= 1 << 40;
        let expected = match index {
            0..HEADER_WORDS => Content::Broken,
            _ => Content::Torn { header: HEADER, index },
        };
        assert_eq!(Content::of(&words), expected);
    }
}

#[test]
fn two_halves_do_not_make_a_whole() {
    let other = SectorHeader { sequence: 3, ..HEADER };
    let mut words = HEADER.words();
    words[32..].copy_from_slice(&other.words()[32..]);
    assert_eq!(Content::of(&words), Content::Torn { header: HEADER, index: 32 });
}

#[test]
fn headers_are_found_wherever_they_stand() {
    let other = SectorHeader { sequence: 3, ..HEADER };
    let row: Vec<u64> = HEADER.words().into_iter().chain(other.words()).collect();
    let found = |words: &[u64]| headers_in(words).collect::<Vec<_>>();
    assert_eq!(found(&row), [HEADER, other]);
    assert_eq!(found(&row[1..SECTOR_WORDS + HEADER_WORDS]), [other]);
    assert_eq!(found(&row[1..SECTOR_WORDS + SEAL]), []);
    assert_eq!(found(&row[..SEAL]), []);
    assert_eq!(found(&[0; SECTOR_WORDS]), []);
}

#[test]
fn bytes_are_little_endian_words() {
    let bytes: Vec<u8> = HEADER.words().iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(sector_words(&bytes.try_into().expect("a sector")), HEADER.words());
}
