/// What may be written after the socket said once that it takes more.
///
/// A socket says so while a third of its buffer is free, at least 140 kB counted the kernel's way. Less than that fits
/// for sure, so one look is enough for several small writes, and none can block.
struct WriteBudget {
    private static let bytesPerLook = 65_536
    private static let writesPerLook = 32

    private var bytes = 0
    private var writes = 0

    /// Whether a write of so many bytes fits without another look.
    mutating func take(_ size: Int) -> Bool {
        guard self.writes > 0, self.bytes >= size else { return false }
        self.writes -= 1
        self.bytes -= size
        return true
    }

    /// Starts over after a look, for a first write of any size up to the largest.
    mutating func refill(spending size: Int) {
        self.writes = Self.writesPerLook - 1
        self.bytes = Self.bytesPerLook - size
    }
}
