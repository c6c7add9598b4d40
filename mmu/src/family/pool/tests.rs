use super::*;
use crate::fake::Fake;

const PAGES: u32 = 4;

struct Bench {
    fake: Arc<Fake>,
    pool: Pool<Fake>,
}

impl Bench {
    fn new() -> Self {
        Self { fake: Arc::new(Fake::new(PAGES, 0)), pool: Pool::default() }
    }

    fn add(&mut self) -> Arc<Layer<Fake>> {
        let store = self.fake.new_store().unwrap();
        self.pool.add(false, |id| Layer::new(id, Arc::clone(&self.fake), store, PAGES))
    }

    fn give_back(&mut self, layer: &Layer<Fake>) -> usize {
        self.pool.give_back([layer.id()].into_iter()).len()
    }
}

#[test]
fn only_a_layer_that_nobody_owns_is_taken() {
    let mut bench = Bench::new();
    let layer = bench.add();
    layer.take(Gfn(0), Holder::Map);
    assert!(bench.pool.take_free(&[Run::new(1, 4)]).is_none(), "owned");
    assert!(bench.pool.claim_unowned(Gfn(1), Holder::Image).is_none(), "owned");
    assert_eq!(bench.give_back(&layer), 0, "a frame lives");
    assert!(bench.pool.take_free(&[Run::new(0, 2)]).is_none(), "its slot is taken");
    assert!(bench.pool.claim_unowned(Gfn(0), Holder::Image).is_none());
    assert!(bench.pool.claim_unowned(Gfn(1), Holder::Image).is_some());
    let taken = bench.pool.take_free(&[Run::new(2, 4)]).unwrap();
    assert_eq!(taken.id(), layer.id());
    assert!(bench.pool.take_free(&[Run::new(2, 4)]).is_none(), "owned again");
}

#[test]
fn an_empty_layer_goes_and_its_number_is_used_again() {
    let mut bench = Bench::new();
    let (first, second) = (bench.add(), bench.add());
    let id = first.id();
    assert_eq!(bench.give_back(&first), 1);
    assert!(bench.pool.get(id).is_none());
    drop(first);
    assert_eq!(bench.fake.objects().0, 1);
    assert_eq!(bench.add().id(), id);
    assert_eq!(bench.pool.iter().count(), 2);
    assert_eq!(bench.pool.layer(second.id()).id(), second.id());
}
