/// Something bytes can be written to.
protocol ByteSink {
    /// Writes all of the bytes.
    func write(_ bytes: [UInt8]) throws(WriteError)
}
