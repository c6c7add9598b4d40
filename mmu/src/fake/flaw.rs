//! Ways in which a fake host is wrong, for tests of the tests.

/// Something that a host could do wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// Protects nothing, and says that it did.
    SkipsProtect,
    /// Copies nothing, and says that it did.
    SkipsCopy,
    /// Protects, and says that it failed.
    ProtectsAndFails,
    /// Keeps the mappings that are returned.
    KeepsMappings,
    /// Copies pages at their first write, and says that it did not.
    HidesCopies,
    /// Leaves in a window what was to be replaced by shared frames.
    SkipsReplace,
    /// Makes zeros of pages that it is to copy beforehand.
    ZeroesAhead,
    /// Gives no memory back, so that a new frame shows old bytes.
    SkipsPunch,
}
