import Foundation
import Glibc
import SheafCore
import Subprocess
import SystemPackage
import Testing

/// A folder of its own with a configuration and an embedded broker, in which the built command is run.
struct Workbench: Sendable {
    /// The folder.
    let folder: String

    private static let configuration = """
        flows:
          words: { exec: ["wc", "-w"] }
          picky: { exec: ["grep", "-q", "good"], retries: 0 }
          slow: { exec: ["sleep", "1"] }
          endless: { exec: ["sleep", "300"] }
          sourced: { echo: true, source: "source.jsonl" }
        """

    /// Runs the body in a new folder, and removes that afterwards.
    static func with(_ body: @Sendable (Workbench) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-cli-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let bench = Workbench(folder: folder)
        try bench.write(configuration, to: "sheaf.yaml")
        try await body(bench)
    }

    /// What a run of the command left.
    struct Run: Sendable {
        /// The exit code, or 128 and the number of the signal that killed it.
        var code: Int32
        /// Standard output.
        var output: String
        /// Standard error.
        var talk: String

        /// The lines of standard output.
        var lines: [String] { output.split(separator: "\n").map(String.init) }
        /// Standard output as one JSON value.
        var json: JSONValue { get throws { try JSON.parse(output) } }
    }

    /// The command that was built with the tests; it stands beside their bundle.
    static var executable: FilePath {
        get throws {
            let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            return FilePath(bundle).removingLastComponent().appending("sheaf")
        }
    }

    /// Runs `sheaf` with these arguments to its end; `meanwhile` is given the process's number.
    @discardableResult
    func sheaf(
        _ arguments: String...,
        input: String? = nil,
        environment: [String: String] = [:],
        limit: Duration = .seconds(60),
        meanwhile: @escaping @Sendable (pid_t) async throws -> Void = { _ in }
    ) async throws -> Run {
        try await sheaf(arguments, input: input, environment: environment, limit: limit, meanwhile: meanwhile)
    }

    /// Runs `sheaf` with a list of arguments.
    @discardableResult
    func sheaf(
        _ arguments: [String],
        input: String? = nil,
        environment: [String: String] = [:],
        limit: Duration = .seconds(60),
        meanwhile: @escaping @Sendable (pid_t) async throws -> Void = { _ in }
    ) async throws -> Run {
        try await run(
            Self.executable,
            arguments,
            input: input,
            environment: environment,
            limit: limit,
            meanwhile: meanwhile
        )
    }

    /// Runs a line of shell in which `$SHEAF` is the command.
    func shell(_ line: String) async throws -> Run {
        let binary = try Self.executable.string
        return try await run("/bin/bash", ["-c", line], input: nil, environment: ["SHEAF": binary]) { _ in }
    }

    private func run(
        _ program: FilePath,
        _ arguments: [String],
        input: String?,
        environment: [String: String],
        limit: Duration = .seconds(60),
        meanwhile: @escaping @Sendable (pid_t) async throws -> Void
    ) async throws -> Run {
        var variables: [Environment.Key: String] = ["PATH": "/usr/bin:/bin", "HOME": folder, "TERM": "xterm"]
        for (name, value) in environment { variables[Environment.Key(stringLiteral: name)] = value }
        let configuration = Configuration(
            executable: .path(program),
            arguments: Arguments(arguments),
            environment: .custom(variables),
            workingDirectory: FilePath(folder)
        )
        // Ending the group early ends the process, too.
        let run = try await withThrowingTaskGroup(of: Run?.self) { group in
            group.addTask { try await Self.outcome(of: configuration, input: input ?? "", meanwhile: meanwhile) }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        return try #require(run, "\(arguments.joined(separator: " ")) took longer than \(limit)")
    }

    private static func outcome(
        of configuration: Configuration,
        input: String,
        meanwhile: @Sendable (pid_t) async throws -> Void
    ) async throws -> Run {
        let result = try await Subprocess.run(
            configuration,
            input: .string(input),
            output: .string(limit: 16 << 20),
            error: .string(limit: 1 << 20)
        ) { execution in try await meanwhile(execution.processIdentifier.value) }
        let code: Int32 =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let signal): 128 + signal
            }
        return Run(code: code, output: result.standardOutput, talk: result.standardError)
    }

    /// Writes a file in the folder.
    func write(_ text: String, to name: String) throws {
        let path = "\(folder)/\(name)"
        try FileManager.default.createDirectory(
            atPath: FilePath(path).removingLastComponent().string,
            withIntermediateDirectories: true
        )
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    /// Reads a file in the folder.
    func read(_ name: String) throws -> String {
        try String(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"), encoding: .utf8)
    }
}
