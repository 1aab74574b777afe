import Foundation
import SheafCore
import SheafTestTools
import Testing

/// Untrusted text is shown without control characters, and secrets are not shown.
///
/// The tests run one at a time, because each runs the command many times.
@Suite(.serialized, .timeLimit(.minutes(3))) struct SecurityTests {
    /// Sets the title of a window, colours the text that follows and returns to the start of the line; then a C1
    /// control character and a change of direction.
    private static let orders = "\u{1B}]0;owned\u{7}\u{1B}[31m\r\u{9B}2J\u{202E}"

    private func isSafe(_ text: String) -> Bool {
        !text.unicodeScalars.contains { $0.value == 0x1B || $0.value == 7 || $0.value == 0x9B || $0.value == 0x202E }
    }

    @Test("Names and messages contain no control characters") func terminal() async throws {
        try await Workbench.with { bench in
            let record = #"{"id":"\#u{1B}]0;owned\#u{7}","x":1}"#
            let escaped = #"{"id":"a\u001b]0;owned\u0007\u009b2J\u202e"}"#
            try bench.write("\(escaped)\n\(record)\nbroken \(Self.orders)\n", to: "in\(Self.orders).jsonl")
            let create = try await bench.sheaf("create", "echo", "in\(Self.orders).jsonl")
            #expect(create.code == 0, "\(create.talk)")
            try await bench.sheaf("run", "--until-empty", "--log-level", "debug")
            for command in [["status", "last"], ["list"], ["results", "last", "--format", "jsonl"]] {
                let run = try await bench.sheaf(command)
                #expect(run.code == 0)
                #expect(isSafe(run.talk), "\(command)")
                if command[0] != "results" { #expect(isSafe(run.output), "\(command)") }
            }
            for words in ["results last --format csv", "results last", "results last --json", "status last --json"] {
                let run = try await bench.shell("script -qec '\"$SHEAF\" \(words)' /dev/null")
                #expect(run.code == 0)
                #expect(run.output.contains("owned") || words.hasPrefix("status"))
                #expect(isSafe(run.output.replacing("\r\n", with: "\n")), "\(words): \(run.output.debugDescription)")
            }
            // A file gets the exact bytes.
            try await bench.sheaf("results", "last", "--format", "csv", "-o", "out.csv")
            #expect(try bench.read("out.csv").contains("\u{1B}]0;owned\u{7}"))
            for arguments in [
                ["create", "echo", "no\(Self.orders)"], ["status", "no\(Self.orders)"], ["no\(Self.orders)"],
            ] {
                let run = try await bench.sheaf(arguments)
                #expect(run.code != 0)
                #expect(isSafe(run.talk), "\(run.talk.debugDescription)")
            }
        }
    }

    @Test("No name leads out of its place") func names() async throws {
        try await Workbench.with { bench in
            try bench.write("a\n", to: "in.txt")
            let before = try FileManager.default.subpathsOfDirectory(atPath: bench.folder)
            for name in ["../up", "a/b", "#", "*", "a\u{1}b", "", "last", String(repeating: "x", count: 65)] {
                for arguments in [["--batch-id=\(name)"], ["--namespace=\(name)"]] {
                    let run = try await bench.sheaf(["create", "echo", "in.txt"] + arguments)
                    #expect([64, 78].contains(run.code), "\(arguments): \(run.code) \(run.talk)")
                }
                #expect(try await bench.sheaf("create", "--dry-run", "--", name, "in.txt").code != 0)
            }
            #expect(try FileManager.default.subpathsOfDirectory(atPath: bench.folder) == before)
        }
    }

    @Test("A record's id is only ever text") func recordIDs() async throws {
        try await Workbench.with { bench in
            let ids = ["../../up", "/etc/passwd", "#", "*.*", "a\tb", "$(touch owned)", "-rf"]
            try bench.write(ids.map { "{\"id\":\"\($0.replacing("\t", with: "\\t"))\"}\n" }.joined(), to: "in.jsonl")
            #expect(try await bench.sheaf("create", "echo", "in.jsonl").code == 0)
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "last").code == 0)
            let rows = try await bench.sheaf("results", "last", "--json").json.arrayValue ?? []
            #expect(Set(rows.compactMap { $0["record_id"]?.stringValue }) == Set(ids))
            let files = try FileManager.default.contentsOfDirectory(atPath: bench.folder)
            #expect(Set(files) == [".sheaf", "in.jsonl", "sheaf.yaml"])
        }
    }

    @Test("A line without an end takes no memory") func endlessLine() async throws {
        try await Workbench.with { bench in
            try bench.write("x", to: "in.txt")
            #expect(truncate("\(bench.folder)/in.txt", 1 << 30) == 0)
            let peak = Peak()
            let run = try await bench.sheaf("create", "echo", "in.txt", "--strict", "--no-shuffle") { process in
                while let size = Self.peakMemory(of: process) {
                    peak.note(size)
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
            #expect(run.code == 65)
            #expect(run.talk.contains("in.txt:1: is 1.0 GiB; the limit is 1 MiB"), "\(run.talk)")
            #expect((1..<150 << 10).contains(peak.value), "\(peak.value) KiB")
        }
    }

    /// The most memory a process has held so far, in KiB; nil once it has ended.
    private static func peakMemory(of process: Int32) -> Int? {
        guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8) else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line.flatMap { Int($0.dropFirst(6).filter(\.isNumber)) }
    }
}
