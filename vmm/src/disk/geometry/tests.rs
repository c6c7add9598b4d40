//! Requests fall into the clusters that they touch.

use super::*;

fn geometry(sectors: u64) -> Geometry {
    Geometry { sectors, cluster: ClusterSize::from_bytes(4096).unwrap() }
}

#[test]
fn cluster_sizes_are_powers_of_two_that_a_mask_covers() {
    for bytes in [4096, 8192, 16384, 32768, 65536] {
        assert_eq!(ClusterSize::from_bytes(bytes).unwrap().bytes(), bytes);
    }
    for bytes in [0, 512, 2048, 4097, 12288, 131_072] {
        assert!(ClusterSize::from_bytes(bytes).is_err(), "{bytes}");
    }
    assert_eq!(ClusterSize::default().sectors(), u64::from(Mask::BITS));
}

#[test]
fn a_request_is_cut_at_the_borders() {
    let pieces: Vec<_> = geometry(64).pieces(6, 12).unwrap().collect();
    let piece = |cluster, first, sectors| Piece { cluster, first, sectors };
    assert_eq!(pieces, [piece(0, 6, 2), piece(1, 0, 8), piece(2, 0, 2)]);
    assert_eq!(pieces[0].mask(), 0b1100_0000);
    assert_eq!(geometry(64).pieces(64, 0).unwrap().count(), 0);
}

#[test]
fn a_request_beyond_the_end_is_refused() {
    assert!(geometry(64).pieces(60, 5).is_err());
    assert!(geometry(64).pieces(u64::MAX, 2).is_err());
    assert!(geometry(64).pieces(65, 0).is_err());
}

#[test]
fn a_whole_cluster_of_the_largest_size_is_a_full_mask() {
    let geometry = Geometry { sectors: 200, cluster: ClusterSize::default() };
    let masks: Vec<_> = geometry.pieces(0, 200).unwrap().map(Piece::mask).collect();
    assert_eq!(masks, [Mask::MAX, (1 << 72) - 1]);
    assert_eq!([0, 1, 2].map(|cluster| geometry.on_disk(cluster)), [Mask::MAX, (1 << 72) - 1, 0]);
}

#[test]
fn runs_are_those_of_set_bits() {
    assert_eq!(runs(0).count(), 0);
    assert_eq!(runs(Mask::MAX).collect::<Vec<_>>(), [(0, 128)]);
    assert_eq!(runs(0b0110_1000 | 1 << 127).collect::<Vec<_>>(), [(3, 1), (5, 2), (127, 1)]);
}

#[test]
fn a_disk_has_sectors_and_not_too_many() {
    assert!(geometry(1).is_sound() && geometry(8 << 32).is_sound());
    assert!(!geometry(0).is_sound() && !geometry((8 << 32) + 1).is_sound());
    assert!(!geometry(u64::MAX).is_sound());
}
