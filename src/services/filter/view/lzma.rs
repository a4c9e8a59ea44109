//! LZMA (DOC/lzma-specification.txt of its SDK), for the small lists of 7z archives.

/// Probabilities of one bit, as eleven bits of a fraction.
const EVEN: u16 = 1 << 10;
const STATES: usize = 12;
const POSITIONS: usize = 16;
/// Most bits of context of a letter. Nobody uses more, and each doubles the memory.
const MOST_CONTEXT: u8 = 4;

/// What a stream without a header stands for, as far as it can be read, and at most `length` octets of it. `properties` is the first octet
/// of its properties. Takes time linear in `length`.
pub fn unpack(packed: &[u8], properties: u8, length: usize) -> Option<Vec<u8>> {
    let (context, rest) = (properties % 9, properties / 9);
    let (position, shared) = (rest % 5, rest / 5);
    if shared > 4 || context + position > MOST_CONTEXT {
        return None;
    }
    let mut decoder = Decoder {
        range: Range::new(packed)?,
        out: Vec::new(),
        length,
        context,
        position_mask: (1 << position) - 1,
        shared_mask: (1 << shared) - 1,
        letters: vec![EVEN; 0x300 << (context + position)],
        is_match: [[EVEN; POSITIONS]; STATES],
        is_repeated: [EVEN; STATES],
        is_older: [EVEN; STATES],
        is_second: [EVEN; STATES],
        is_third: [EVEN; STATES],
        is_long: [[EVEN; POSITIONS]; STATES],
        lengths: Lengths::new(),
        repeated_lengths: Lengths::new(),
        slots: [[EVEN; 64]; 4],
        distances: [EVEN; 115],
        alignment: [EVEN; 16],
        state: 0,
        repeated: [0; 4],
    };
    decoder.run();
    Some(decoder.out)
}

/// The range decoder. What is missing at the end counts as zero.
struct Range<'a> {
    packed: &'a [u8],
    range: u32,
    code: u32,
}

impl<'a> Range<'a> {
    fn new(packed: &'a [u8]) -> Option<Self> {
        let (start, packed) = packed.split_first_chunk::<5>()?;
        let [0, code @ ..] = *start else { return None };
        Some(Self { packed, range: u32::MAX, code: u32::from_be_bytes(code) })
    }

    fn fill(&mut self) {
        if self.range < 1 << 24 {
            let (first, rest) = self.packed.split_first().unwrap_or((&0, &[]));
            self.packed = rest;
            self.range <<= 8;
            self.code = (self.code << 8) | u32::from(*first);
        }
    }

    fn bit(&mut self, probability: &mut u16) -> bool {
        let bound = (self.range >> 11) * u32::from(*probability);
        let is_set = self.code >= bound;
        if is_set {
            *probability -= *probability >> 5;
            self.code -= bound;
            self.range -= bound;
        } else {
            *probability += ((1 << 11) - *probability) >> 5;
            self.range = bound;
        }
        self.fill();
        is_set
    }

    /// Bits that are as likely set as not.
    fn plain(&mut self, count: u32) -> u32 {
        let mut value = 0;
        for _ in 0..count {
            self.range >>= 1;
            let is_set = self.code >= self.range;
            if is_set {
                self.code -= self.range;
            }
            self.fill();
            value = (value << 1) | u32::from(is_set);
        }
        value
    }

    /// As many bits, the highest first.
    fn tree(&mut self, probabilities: &mut [u16], count: u32) -> usize {
        let mut at = 1;
        for _ in 0..count {
            at = (at << 1) | usize::from(self.bit(&mut probabilities[at]));
        }
        at - (1 << count)
    }

    /// As many bits, the lowest first. The probabilities begin with the one for the first bit.
    fn reverse(&mut self, probabilities: &mut [u16], count: u32) -> u32 {
        let (mut at, mut value) = (1, 0);
        for shift in 0..count {
            let is_set = self.bit(&mut probabilities[at - 1]);
            at = (at << 1) | usize::from(is_set);
            value |= u32::from(is_set) << shift;
        }
        value
    }
}

/// How long matches are, less two.
struct Lengths {
    is_middle: u16,
    is_long: u16,
    low: [[u16; 8]; POSITIONS],
    middle: [[u16; 8]; POSITIONS],
    high: [u16; 256],
}

impl Lengths {
    const fn new() -> Self {
        let few = [[EVEN; 8]; POSITIONS];
        Self { is_middle: EVEN, is_long: EVEN, low: few, middle: few, high: [EVEN; 256] }
    }

    fn read(&mut self, range: &mut Range<'_>, position: usize) -> usize {
        if !range.bit(&mut self.is_middle) {
            range.tree(&mut self.low[position], 3)
        } else if !range.bit(&mut self.is_long) {
            8 + range.tree(&mut self.middle[position], 3)
        } else {
            16 + range.tree(&mut self.high, 8)
        }
    }
}

struct Decoder<'a> {
    range: Range<'a>,
    out: Vec<u8>,
    length: usize,
    context: u8,
    position_mask: usize,
    shared_mask: usize,
    letters: Vec<u16>,
    is_match: [[u16; POSITIONS]; STATES],
    is_repeated: [u16; STATES],
    is_older: [u16; STATES],
    is_second: [u16; STATES],
    is_third: [u16; STATES],
    is_long: [[u16; POSITIONS]; STATES],
    lengths: Lengths,
    repeated_lengths: Lengths,
    slots: [[u16; 64]; 4],
    distances: [u16; 115],
    alignment: [u16; 16],
    state: usize,
    /// The latest distances, less one.
    repeated: [u32; 4],
}

impl Decoder<'_> {
    fn run(&mut self) {
        while self.out.len() < self.length {
            let position = self.out.len() & self.shared_mask;
            if !self.range.bit(&mut self.is_match[self.state][position]) {
                self.letter();
                continue;
            }
            let is_repeated = self.range.bit(&mut self.is_repeated[self.state]);
            let is_letter = is_repeated && self.repeats_letter(position);
            let after_letter = self.state < 7;
            let length = if is_letter {
                self.state = if after_letter { 9 } else { 11 };
                1
            } else if is_repeated {
                let length = self.repeated_lengths.read(&mut self.range, position);
                self.state = if after_letter { 8 } else { 11 };
                length + 2
            } else {
                let length = self.lengths.read(&mut self.range, position);
                self.state = if after_letter { 7 } else { 10 };
                let distance = self.distance(length);
                self.repeated.rotate_right(1);
                self.repeated[0] = distance;
                length + 2
            };
            for _ in 0..length.min(self.length - self.out.len()) {
                // The mark of the end is a distance that nothing has.
                let Some(octet) = self.before(self.repeated[0]) else { return };
                self.out.push(octet);
            }
        }
    }

    /// The octet at this distance, less one, from the end.
    fn before(&self, distance: u32) -> Option<u8> {
        let back = usize::try_from(distance).ok()?.checked_add(1)?;
        self.out.get(self.out.len().checked_sub(back)?).copied()
    }

    fn letter(&mut self) {
        let before = self.out.last().copied().unwrap_or_default();
        let position = (self.out.len() & self.position_mask) << self.context;
        let context = position + usize::from(u16::from(before) >> (8 - self.context));
        let compared = self.before(self.repeated[0]).filter(|_| self.state >= 7);
        let probabilities = &mut self.letters[0x300 * context..][..0x300];
        let mut symbol = 1;
        if let Some(mut compared) = compared {
            while symbol < 0x100 {
                let wanted = usize::from(compared >> 7);
                compared <<= 1;
                let bit = usize::from(self.range.bit(&mut probabilities[((1 + wanted) << 8) + symbol]));
                symbol = (symbol << 1) | bit;
                if bit != wanted {
                    break;
                }
            }
        }
        while symbol < 0x100 {
            symbol = (symbol << 1) | usize::from(self.range.bit(&mut probabilities[symbol]));
        }
        self.out.push((symbol & 0xff) as u8);
        self.state = match self.state {
            0..4 => 0,
            4..10 => self.state - 3,
            _ => self.state - 6,
        };
    }

    /// Brings the distance that is repeated to the front; whether only one octet is.
    fn repeats_letter(&mut self, position: usize) -> bool {
        let state = self.state;
        if !self.range.bit(&mut self.is_older[state]) {
            return !self.range.bit(&mut self.is_long[state][position]);
        }
        let index = if !self.range.bit(&mut self.is_second[state]) {
            1
        } else if !self.range.bit(&mut self.is_third[state]) {
            2
        } else {
            3
        };
        self.repeated[..=index].rotate_right(1);
        false
    }

    /// The distance of a match, less one.
    fn distance(&mut self, length: usize) -> u32 {
        let slot = self.range.tree(&mut self.slots[length.min(3)], 6);
        let high = 2 | u32::from(slot & 1 == 1);
        match slot {
            0..4 => slot as u32,
            4..14 => {
                let count = (slot >> 1) as u32 - 1;
                let base = high << count;
                base + self.range.reverse(&mut self.distances[base as usize - slot..], count)
            }
            _ => {
                let count = (slot >> 1) as u32 - 1;
                let middle = self.range.plain(count - 4) << 4;
                (high << count) + middle + self.range.reverse(&mut self.alignment, 4)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What 7-Zip has made of a list of ten files, with the length and the sum that it tells of the list.
    const PACKED: &str = "AACBMweuD8+SbmAP6+qcvzY9/nHKUfI+SDPEdOtbRKobrp4MOlxsI4r1anza2Po2b4ShYz/CYSvWmYsuFdDXHfIlih5MAIm5\
        B+jRNeCDj/bdJA0JYFTCDD5yMUfiXvxDCkMasPZD/MvIUonlPr3/MyQ7PN5kR9T2yv7NM7qBUFUNPAMozLBJuN6dCq2sfF9k\
        wGhAm0nb2G8v6qfbGYVJlvYXQtVymfkUBSnxdCpTlh5uHXwI0WCoXcAPPWe6H7CUPafCgAAA";
    const LENGTH: usize = 718;
    const SUM: u32 = 0x2cc5_ead6;

    fn packed() -> Vec<u8> {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(PACKED).unwrap()
    }

    #[test]
    fn streams_are_unpacked() {
        let packed = packed();
        let list = unpack(&packed, 0x5d, LENGTH).unwrap();
        assert_eq!((list.len(), crc32fast::hash(&list)), (LENGTH, SUM));
        assert_eq!(unpack(&packed, 0x5d, 100).unwrap(), list[..100]);
        for properties in [8, 44, 225, 255] {
            assert!(unpack(&packed, properties, 100).is_none());
        }
    }

    #[test]
    fn damage_is_bounded() {
        let packed = packed();
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end], 0x5d, 2000).is_none_or(|out| out.len() <= 2000));
        }
        for at in 0..packed.len() {
            for octet in [0, 0x55, 0xff] {
                let mut broken = packed.clone();
                broken[at] = octet;
                assert!(unpack(&broken, 0x5d, 2000).is_none_or(|out| out.len() <= 2000));
            }
        }
    }
}
