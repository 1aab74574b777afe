/// Something bytes are read from, by offset.
protocol ByteInput: AnyObject {
    /// Reads what there is, at most the buffer; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int

    /// Whether reading at an offset returns without waiting for somebody else.
    func isReady(at offset: Int) -> Bool
}
