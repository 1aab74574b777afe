import Foundation
import SystemPackage
import Testing

/// A probe process, with its output in a file.
final class Probe {
    private let process = Process()
    private let output: String

    /// Starts the process.
    init(_ mode: String, _ folder: TemporaryFolder, _ arguments: String...) throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let tool = FilePath(own).removingLastComponent().appending("EmbeddedProbe")
        self.output = "\(folder.path)/\(UUID().uuidString).output"
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        process.executableURL = URL(fileURLWithPath: tool.string)
        process.arguments = [mode, folder.broker.string] + arguments
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        // Not our standard error: a probe that outlives a crashed test would hold the output of all tests open.
        _ = FileManager.default.createFile(atPath: output + ".errors", contents: nil)
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: output + ".errors"))
        try process.run()
    }

    deinit { kill() }

    /// The lines it has written.
    var lines: [Substring] {
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        return text.split(separator: "\n")
    }

    /// Returns the messages that it reported with a word, and their times.
    func messages(_ word: Substring) -> [(id: Substring, time: Int)] {
        lines.compactMap { line in
            let words = line.split(separator: " ")
            guard words.count >= 2, words[0] == word else { return nil }
            return (words[1], words.count > 2 ? Int(words[2]) ?? 0 : 0)
        }
    }

    /// Whether it is running.
    var isRunning: Bool { process.isRunning }

    /// Its exit status.
    var status: Int32 { process.terminationStatus }

    /// Its process ID.
    var number: Int32 { process.processIdentifier }

    /// Suspends it until ``resume()``.
    func stop() { _ = Foundation.kill(number, SIGSTOP) }

    /// Resumes it.
    func resume() { _ = Foundation.kill(number, SIGCONT) }

    /// Kills it with SIGKILL if it is running.
    func kill() {
        if process.isRunning { _ = Foundation.kill(process.processIdentifier, SIGKILL) }
    }
}

/// Polls a condition every few milliseconds; records an issue if it is not true within the limit.
func eventually(
    within limit: Duration = .seconds(20),
    _ what: Comment,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + limit
    while try await !condition() {
        guard clock.now < deadline else {
            Issue.record(what, sourceLocation: sourceLocation)
            throw CancellationError()
        }
        try await clock.sleep(for: .milliseconds(5))
    }
}

/// The clock of the times that the probe reports.
enum ProbeTime {
    /// Nanoseconds since a fixed time, the same for all processes.
    static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}

/// A folder that is removed when this object is released.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        self.path = NSTemporaryDirectory() + "sheaf-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of a broker's folder in it.
    var broker: FilePath { FilePath(path).appending("broker") }
}
