import Foundation
package import SystemPackage

/// A temporary file without a name, which is gone when it is released or the process ends.
package final class SpoolFile: Sendable {
    /// How much is read or written at a time, in bytes.
    private static let chunk = 256 << 10

    /// The file, open for reading and writing.
    package let descriptor: FileDescriptor

    /// Creates an empty file in the folder for temporary files.
    ///
    /// - Throws: ``FlowError`` of type `spool` if that is impossible.
    package init() throws(FlowError) {
        let path = FilePath(NSTemporaryDirectory()).appending("sheaf-\(UUID().uuidString)")
        do {
            descriptor = try FileDescriptor.open(
                path,
                .readWrite,
                options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: .ownerReadWrite
            )
        } catch {
            throw FlowError(
                type: "spool",
                message: "cannot create the temporary file \(path): \(error)",
                isRetryable: true
            )
        }
        try? FileManager.default.removeItem(atPath: path.string)
    }

    deinit { try? descriptor.close() }

    /// Writes lines to a spool file, many at a time.
    package struct Writer {
        private let file: SpoolFile
        private var buffer: [UInt8] = []
        /// The bytes so far.
        package private(set) var size = 0
        /// The lines so far.
        package private(set) var lines = 0

        package init(_ file: SpoolFile) { self.file = file }

        /// Adds a line and its line break.
        package mutating func add(_ line: [UInt8]) throws {
            buffer += line
            buffer.append(UInt8(ascii: "\n"))
            size += line.count + 1
            lines += 1
            if buffer.count >= SpoolFile.chunk { try flush() }
        }

        /// Writes what is held back.
        package mutating func flush() throws {
            if buffer.isEmpty { return }
            _ = try file.descriptor.writeAll(buffer)
            buffer.removeAll(keepingCapacity: true)
        }
    }

    /// Reads the file line by line; empty lines are left out.
    ///
    /// - Parameters:
    ///   - limit: The most bytes of a line.
    ///   - each: Is given each line, and whether the rest of it was left out because it is too long.
    package func readLines(atMost limit: Int, _ each: ([UInt8], Bool) async throws -> Void) async throws {
        var line: [UInt8] = []
        var isTooLong = false
        var offset = 0
        while true {
            let chunk = try read(at: offset)
            if chunk.isEmpty { break }
            offset += chunk.count
            var rest = chunk[...]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                isTooLong = isTooLong || line.count + (end - rest.startIndex) > limit
                line += rest[..<end].prefix(max(0, limit - line.count))
                rest = rest[(end + 1)...]
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                if !line.isEmpty { try await each(line, isTooLong) }
                line.removeAll(keepingCapacity: true)
                isTooLong = false
            }
            isTooLong = isTooLong || line.count + rest.count > limit
            line += rest.prefix(max(0, limit - line.count))
        }
        if !line.isEmpty { try await each(line, isTooLong) }
    }

    /// Adds bytes at an offset, which is the end of what was added before.
    package func write(_ bytes: [UInt8], at offset: Int64) throws(FlowError) {
        do {
            _ = try descriptor.writeAll(toAbsoluteOffset: offset, bytes)
        } catch {
            throw FlowError(type: "spool", message: "cannot write to a temporary file: \(error)", isRetryable: true)
        }
    }

    /// Returns the given number of bytes from an offset on.
    package func read(_ count: Int, at offset: Int64) throws(FlowError) -> [UInt8] {
        do {
            let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                while filled < count {
                    let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
                    let read = try descriptor.read(fromAbsoluteOffset: offset + Int64(filled), into: rest)
                    if read == 0 { break }
                    filled += read
                }
            }
            if bytes.count == count { return bytes }
            throw FlowError(type: "spool", message: "a temporary file is shorter than it was", isRetryable: true)
        } catch let error as FlowError {
            throw error
        } catch {
            throw FlowError(type: "spool", message: "cannot read a temporary file: \(error)", isRetryable: true)
        }
    }

    /// Returns the first bytes of the file, at most the given number.
    package func beginning(_ count: Int) throws -> [UInt8] { Array(try read(at: 0).prefix(count)) }

    private func read(at offset: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: Self.chunk) { buffer, count in
            count = try descriptor.read(fromAbsoluteOffset: Int64(offset), into: UnsafeMutableRawBufferPointer(buffer))
        }
    }
}
