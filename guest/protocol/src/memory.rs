//! Guest memory as the functions here see it: pages of 8-byte words.

/// Words in pages. The payload implements it on its RAM; tests on a vector.
pub trait Memory {
    /// The word `index` of page `page`.
    fn load(&self, page: u64, index: usize) -> u64;

    /// Writes the word `index` of page `page`.
    fn store(&mut self, page: u64, index: usize, value: u64);
}

/// The words of a page of which the monitor has the bytes.
pub(crate) fn words_of(bytes: &[u8; super::map::PAGE_BYTES]) -> impl Fn(usize) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    |index| u64::from_le_bytes(words[index])
}

#[cfg(test)]
pub(crate) mod fake {
    //! Memory for tests.

    use super::super::map::{PAGE_BYTES, PAGE_WORDS};
    use super::Memory;

    /// RAM from page 0 on.
    #[derive(Clone)]
    pub(crate) struct Ram(pub(crate) Vec<[u64; PAGE_WORDS]>);

    impl Ram {
        /// So many pages of zeros.
        pub(crate) fn new(pages: usize) -> Self {
            Self(vec![[0; PAGE_WORDS]; pages])
        }

        /// The bytes of a page, as the monitor sees them.
        pub(crate) fn bytes(&self, page: u64) -> [u8; PAGE_BYTES] {
            let bytes: Vec<u8> =
                self.0[page as usize].iter().flat_map(|word| word.to_le_bytes()).collect();
            bytes.try_into().expect("a page of bytes")
        }
    }

    impl Memory for Ram {
        fn load(&self, page: u64, index: usize) -> u64 {
            self.0[page as usize][index]
        }

        fn store(&mut self, page: u64, index: usize, value: u64) {
            self.0[page as usize][index] = value;
        }
    }
}
