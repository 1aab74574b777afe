import Foundation
import Subprocess
import SystemPackage

/// A server in a Python file of `Tests`, which prints its port and runs until its standard input ends.
enum ServerScript {
    /// Runs the body with a new server, whose URL it is given, such as `http://127.0.0.1:8080`.
    static func with(_ name: String, _ body: @escaping @Sendable (String) async throws -> Void) async throws {
        let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: name).path
        let input = try FileDescriptor.pipe(options: .closeOnExec)
        let output = try FileDescriptor.pipe(options: .closeOnExec)
        defer { try? output.readEnd.close() }
        _ = try await Subprocess.run(
            .name("python3"),
            arguments: [script],
            input: .fileDescriptor(input.readEnd, closeAfterSpawningProcess: true),
            output: .fileDescriptor(output.writeEnd, closeAfterSpawningProcess: true),
            error: .discarded
        ) { _ in
            // The server runs until its standard input ends.
            defer { try? input.writeEnd.close() }
            guard let port = try readLine(output.readEnd) else {
                throw TestToolError("Tests/\(name) did not print its port")
            }
            try await body("http://127.0.0.1:\(port)")
        }
    }

    private static func readLine(_ descriptor: FileDescriptor) throws -> String? {
        var line: [UInt8] = []
        while true {
            var byte: UInt8 = 0
            guard try withUnsafeMutableBytes(of: &byte, { try descriptor.read(into: $0) }) == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
    }
}
