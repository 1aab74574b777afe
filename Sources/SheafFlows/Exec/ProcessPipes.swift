import SystemPackage

/// The pipes of one process, from before its start until after its end.
struct ProcessPipes: Sendable {
    /// Where it reads; closed by who starts it.
    let input: FileDescriptor
    /// Where it writes its output; the writing end is closed by who starts it.
    let output: Pipe
    /// Where it writes its errors; the writing end is closed by who starts it.
    let errors: Pipe
    /// Becomes readable when the task is cancelled.
    let cancellation: Pipe

    /// Makes them all, or none.
    init(input bytes: [UInt8]) throws {
        var made: [FileDescriptor] = []
        func pipe() throws -> Pipe {
            let pipe = try Pipe()
            made += [pipe.readEnd, pipe.writeEnd]
            return pipe
        }
        do {
            self.output = try pipe()
            self.errors = try pipe()
            self.cancellation = try pipe()
            self.input = try InputPipe.filled(with: bytes)
        } catch {
            for descriptor in made { try? descriptor.close() }
            throw error
        }
    }

    /// Tells the supervisor that the task was cancelled.
    func cancel() {
        _ = try? cancellation.writeEnd.writeAll(CollectionOfOne(1))
    }

    /// Closes what nobody else closes.
    func close() {
        try? output.readEnd.close()
        try? errors.readEnd.close()
        try? cancellation.readEnd.close()
        try? cancellation.writeEnd.close()
    }
}
