import Foundation
import SystemPackage

/// A probe process, with its output in a file.
final class Probe {
    private let process = Process()
    private let output: String

    /// Starts the process; its output is appended to a file in the folder.
    init(_ mode: String, _ folder: String, _ arguments: String...) throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let tool = FilePath(own).removingLastComponent().appending("BatchKitProbe")
        output = "\(folder)/\(UUID().uuidString).output"
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        process.executableURL = URL(fileURLWithPath: tool.string)
        process.arguments = [mode, folder] + arguments
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        // Not our standard error: a probe that outlives a crashed test would hold the output of all tests open.
        _ = FileManager.default.createFile(atPath: output + ".errors", contents: nil)
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: output + ".errors"))
        try process.run()
    }

    deinit { kill() }

    /// The lines that it has written.
    var lines: [Substring] {
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        return text.split(separator: "\n")
    }

    /// What it has written after each line's first word, if that is the given one.
    func what(_ word: String) -> [Substring] {
        lines.filter { $0.hasPrefix("\(word) ") }.map { $0.dropFirst(word.count + 1) }
    }

    /// Whether it is running.
    var isRunning: Bool { process.isRunning }

    /// Kills it, and waits until it has ended.
    func kill() {
        guard process.isRunning else { return }
        _ = Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
