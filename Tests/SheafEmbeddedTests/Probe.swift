import Foundation
import SystemPackage
import Testing

/// A process of the probe, with its output in a file.
final class Probe {
    private let process = Process()
    private let output: String

    /// Starts it.
    init(_ mode: String, _ folder: TemporaryFolder, _ arguments: String...) throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let tool = FilePath(own).removingLastComponent().appending("EmbeddedProbe")
        self.output = "\(folder.path)/\(UUID().uuidString).output"
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        process.executableURL = URL(fileURLWithPath: tool.string)
        process.arguments = [mode, folder.broker.string] + arguments
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        // Not ours: one that outlives a test that crashed would hold the output of all tests open.
        _ = FileManager.default.createFile(atPath: output + ".errors", contents: nil)
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: output + ".errors"))
        try process.run()
    }

    deinit { kill() }

    /// What it has written.
    var lines: [Substring] {
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        return text.split(separator: "\n")
    }

    /// What it has said of messages with this word, and when.
    func messages(_ word: Substring) -> [(id: Substring, time: Int)] {
        lines.compactMap { line in
            let words = line.split(separator: " ")
            guard words.count >= 2, words[0] == word else { return nil }
            return (words[1], words.count > 2 ? Int(words[2]) ?? 0 : 0)
        }
    }

    /// Whether it has not ended.
    var isRunning: Bool { process.isRunning }

    /// How it ended.
    var status: Int32 { process.terminationStatus }

    /// Its number.
    var number: Int32 { process.processIdentifier }

    /// Stops it where it is, until ``goOn()``.
    func stop() { _ = Foundation.kill(number, SIGSTOP) }

    /// Lets it go on.
    func goOn() { _ = Foundation.kill(number, SIGCONT) }

    /// Kills it with SIGKILL, if it runs.
    func kill() {
        if process.isRunning { _ = Foundation.kill(process.processIdentifier, SIGKILL) }
    }
}

/// Asks every few milliseconds until the answer is yes; records an issue when that takes too long.
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

/// The clock by which the probe says when something happened.
enum ProbeTime {
    /// Nanoseconds since some moment, the same for all processes.
    static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}
