//! # What
//! [`Slab`] hands out places with stable keys; a [`Fifo`] is a first-in-first-out list of some of those places,
//! threaded through the slab itself. Both the pool's permits and its waiting submitters live in one.
//!
//! # States
//! | entry | `value` | `prev` / `next` | reached by |
//! |---|---|---|---|
//! | free | `None` | `next` is the next free entry | `remove` |
//! | loose | `Some` | both `NONE` | `insert`, `unlink`, `pop_front` |
//! | listed | `Some` | neighbours in exactly one list | `push_back`, `push_front` |
//!
//! # Invariants
//! 1. A key stays valid, and means the same value, from `insert` to `remove`.
//! 2. An entry is in at most one list; a list's `len` is the number of its entries.
//! 3. The entries never outnumber the largest number of values held at once.
//!
//! # Why not the obvious
//! A `VecDeque` cannot give up an entry in the middle: a cancelled job would stay behind as a tombstone, and a
//! queue of tombstones is an unbounded queue. A linked list of boxes would allocate for each entry. Links kept
//! as indices inside one vector need neither, and the memory of a place is reused while it is warm.
//!
//! # Cost
//! Every operation is O(1). Eight bytes of links an entry. The vector grows to the high-water mark and is given
//! back when the slab becomes empty and had grown large.

const NONE: u32 = u32::MAX;

/// An empty slab that holds more memory than this many entries gives it back.
const KEPT_ENTRIES: usize = 1024;

/// The name of a place in a [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u32);

impl Key {
    /// The place's position in the slab.
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A [`Key`], or none, in the space of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link(u32);

impl Link {
    /// No key.
    pub(crate) const NONE: Self = Self(NONE);

    /// The key, if there is one.
    #[inline]
    pub(crate) fn get(self) -> Option<Key> {
        (self.0 != NONE).then_some(Key(self.0))
    }

    /// Takes the key out.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Key> {
        std::mem::replace(self, Self::NONE).get()
    }
}

impl From<Key> for Link {
    #[inline]
    fn from(key: Key) -> Self {
        Self(key.0)
    }
}

#[derive(Debug)]
struct Entry<T> {
    prev: u32,
    next: u32,
    value: Option<T>,
}

/// Places with stable keys.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
}

impl<T> Slab<T> {
    /// An empty slab; it allocates with the first insertion.
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), free: NONE, len: 0 }
    }

    /// How many values are held.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes a place for `value`.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.insert_with(|_| value)
    }

    /// Takes a place for a value that knows its key.
    #[inline]
    pub(crate) fn insert_with(&mut self, value: impl FnOnce(Key) -> T) -> Key {
        if self.free != NONE {
            let key = Key(self.free);
            let entry = &mut self.entries[key.index()];
            self.free = entry.next;
            entry.next = NONE;
            debug_assert!(entry.value.is_none() && entry.prev == NONE, "a free place holds nothing");
            if entry.value.is_none() {
                // Told that there is nothing to drop, the compiler makes the value in its place.
                entry.value = Some(value(key));
            }
            self.len += 1;
            return key;
        }
        let index = u32::try_from(self.entries.len()).ok().filter(|index| *index != NONE);
        let key = Key(index.expect("a slab holds fewer than 2^32 - 1 values"));
        let value = Some(value(key));
        self.entries.push(Entry { prev: NONE, next: NONE, value });
        self.len += 1;
        key
    }

    /// Gives up a place that is in no list, and drops its value where it is.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key) {
        self.vacate(key, |value| *value = None);
    }

    /// Gives up a place that is in no list.
    #[inline]
    pub(crate) fn take(&mut self, key: Key) -> T {
        self.vacate(key, Option::take).expect("the key of a held value")
    }

    #[inline]
    fn vacate<R>(&mut self, key: Key, empty: impl FnOnce(&mut Option<T>) -> R) -> R {
        let free = self.free;
        let entry = &mut self.entries[key.index()];
        debug_assert!(entry.prev == NONE && entry.next == NONE, "a listed entry is unlinked before it is removed");
        debug_assert!(entry.value.is_some(), "the key of a held value");
        let emptied = empty(&mut entry.value);
        entry.next = free;
        self.free = key.0;
        self.len -= 1;
        if self.len == 0 && self.entries.len() > KEPT_ENTRIES {
            self.entries = Vec::new();
            self.free = NONE;
        }
        emptied
    }

    /// The value at `key`, if that place is held.
    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.entries.get(key.index()).and_then(|entry| entry.value.as_ref())
    }

    /// The value at `key`, if that place is held.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.entries.get_mut(key.index()).and_then(|entry| entry.value.as_mut())
    }

    /// The keys of all held values.
    pub(crate) fn keys(&self) -> Vec<Key> {
        (0..).map(Key).zip(&self.entries).filter(|(_, entry)| entry.value.is_some()).map(|(key, _)| key).collect()
    }

    /// All held values, in the order of their places.
    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.entries.into_iter().filter_map(|entry| entry.value)
    }

    #[inline]
    fn link(&mut self, key: Key) -> &mut Entry<T> {
        &mut self.entries[key.index()]
    }
}

/// A first-in-first-out list of places of one slab.
#[derive(Debug)]
pub(crate) struct Fifo {
    head: u32,
    tail: u32,
    len: usize,
}

impl Fifo {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self { head: NONE, tail: NONE, len: 0 }
    }

    /// How many places are listed.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether no place is listed.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place at the front.
    #[inline]
    pub(crate) fn front(&self) -> Option<Key> {
        (self.head != NONE).then_some(Key(self.head))
    }

    /// The place at the back.
    #[inline]
    pub(crate) fn back(&self) -> Option<Key> {
        (self.tail != NONE).then_some(Key(self.tail))
    }

    /// Lists a loose place at the back.
    #[inline]
    pub(crate) fn push_back<T>(&mut self, slab: &mut Slab<T>, key: Key) {
        let tail = self.tail;
        let entry = slab.link(key);
        debug_assert!(entry.prev == NONE && entry.next == NONE && entry.value.is_some());
        entry.prev = tail;
        if tail == NONE {
            self.head = key.0;
        } else {
            slab.link(Key(tail)).next = key.0;
        }
        self.tail = key.0;
        self.len += 1;
    }

    /// Lists a loose place at the front.
    pub(crate) fn push_front<T>(&mut self, slab: &mut Slab<T>, key: Key) {
        let head = self.head;
        let entry = slab.link(key);
        debug_assert!(entry.prev == NONE && entry.next == NONE && entry.value.is_some());
        entry.next = head;
        if head == NONE {
            self.tail = key.0;
        } else {
            slab.link(Key(head)).prev = key.0;
        }
        self.head = key.0;
        self.len += 1;
    }

    /// Takes the front place off the list.
    #[inline]
    pub(crate) fn pop_front<T>(&mut self, slab: &mut Slab<T>) -> Option<Key> {
        let key = self.front()?;
        self.unlink(slab, key);
        Some(key)
    }

    /// Takes a listed place off the list, wherever it stands.
    #[inline]
    pub(crate) fn unlink<T>(&mut self, slab: &mut Slab<T>, key: Key) {
        let entry = slab.link(key);
        let (prev, next) = (entry.prev, entry.next);
        (entry.prev, entry.next) = (NONE, NONE);
        if prev == NONE {
            debug_assert_eq!(self.head, key.0, "an unlinked place was in this list");
            self.head = next;
        } else {
            slab.link(Key(prev)).next = next;
        }
        if next == NONE {
            self.tail = prev;
        } else {
            slab.link(Key(next)).prev = prev;
        }
        self.len -= 1;
    }
}
