//! Guest memory as the functions here see it: pages of 8-byte words.

use super::map::PAGE_BYTES;

/// Words in pages. The payload implements it on its RAM; tests on a vector.
pub trait Memory {
    /// The word `index` of page `page`.
    fn load(&self, page: u64, index: usize) -> u64;

    /// Writes the word `index` of page `page`.
    fn store(&mut self, page: u64, index: usize, value: u64);

    /// The word at an address, a multiple of 8.
    #[inline(always)]
    fn word(&self, address: u64) -> u64 {
        self.load(address / PAGE_BYTES as u64, (address % PAGE_BYTES as u64 / 8) as usize)
    }

    /// Writes the word at an address, a multiple of 8.
    #[inline(always)]
    fn set_word(&mut self, address: u64, value: u64) {
        self.store(address / PAGE_BYTES as u64, (address % PAGE_BYTES as u64 / 8) as usize, value);
    }

    /// The 8 bytes at any address.
    #[inline(always)]
    fn bytes(&self, address: u64) -> u64 {
        let (start, shift) = (address & !7, (address & 7) * 8);
        let low = self.word(start);
        if shift == 0 {
            return low;
        }
        low >> shift | self.word(start + 8) << (64 - shift)
    }

    /// Reads words in a row, at any address.
    #[inline(always)]
    fn read_words(&self, address: u64, words: &mut [u64]) {
        for (word, address) in words.iter_mut().zip((address..).step_by(8)) {
            *word = self.bytes(address);
        }
    }
}

/// Memory in which single bytes can be written: their neighbours in a word may be somebody else's.
pub trait ByteMemory: Memory {
    /// Writes one byte, and nothing else.
    fn set_byte(&mut self, address: u64, value: u8);

    /// Writes 8 bytes at any address, and nothing else.
    #[inline(always)]
    fn set_bytes(&mut self, address: u64, value: u64) {
        if address.is_multiple_of(8) {
            return self.set_word(address, value);
        }
        for (byte, address) in value.to_le_bytes().into_iter().zip(address..) {
            self.set_byte(address, byte);
        }
    }

    /// Writes words in a row, at any address, and nothing else.
    #[inline(always)]
    fn write_words(&mut self, address: u64, words: &[u64]) {
        for (word, address) in words.iter().zip((address..).step_by(8)) {
            self.set_bytes(address, *word);
        }
    }
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
    use super::{ByteMemory, Memory};

    /// RAM from page 0 on.
    #[derive(Clone)]
    pub(crate) struct Ram(pub(crate) Vec<[u64; PAGE_WORDS]>);

    impl Ram {
        /// So many pages of zeros.
        pub(crate) fn new(pages: usize) -> Self {
            Self(vec![[0; PAGE_WORDS]; pages])
        }

        /// The bytes of a page, as the monitor sees them.
        pub(crate) fn page(&self, page: u64) -> [u8; PAGE_BYTES] {
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

    impl ByteMemory for Ram {
        fn set_byte(&mut self, address: u64, value: u8) {
            let shift = address % 8 * 8;
            let word = self.word(address & !7) & !(0xff << shift);
            self.set_word(address & !7, word | u64::from(value) << shift);
        }
    }
}
