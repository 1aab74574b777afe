import Foundation
package import SheafCore
import Subprocess
import SystemPackage

/// A temporary folder with a configuration, in which tests run the built command like a user.
package struct Workbench: Sendable {
    /// The folder.
    package let folder: String

    private let environment: [String: String]

    /// Runs the body in a new folder, and removes the folder afterwards.
    ///
    /// - Parameters:
    ///   - configuration: The content of `sheaf.yaml`.
    ///   - environment: Variables for every command, besides `PATH`, `HOME` and `TERM`.
    ///   - body: Runs commands in the folder.
    package static func with(
        configuration: String,
        environment: [String: String] = [:],
        _ body: (Workbench) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-cli-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let bench = Workbench(folder: folder, environment: environment)
        try bench.write(configuration, to: "sheaf.yaml")
        try await body(bench)
    }

    /// The result of a command.
    package struct Run: Sendable {
        /// The exit code, or 128 plus the number of the signal that ended it.
        package let code: Int32
        /// Standard output.
        package let output: String
        /// Standard error.
        package let talk: String

        /// The lines of standard output.
        package var lines: [String] { output.split(separator: "\n").map(String.init) }
        /// Standard output as one JSON value.
        package var json: JSONValue { get throws { try JSON.parse(output) } }
    }

    /// The command, which is built with the tests into the folder of their bundle.
    static var executable: String {
        get throws {
            let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            return FilePath(bundle).removingLastComponent().appending("sheaf").string
        }
    }

    /// Runs `sheaf` with these arguments until it ends; `meanwhile` receives the process identifier.
    @discardableResult
    package func sheaf(
        _ arguments: String...,
        input: String? = nil,
        environment: [String: String] = [:],
        limit: Duration = .seconds(60),
        meanwhile: @escaping @Sendable (Int32) async throws -> Void = { _ in }
    ) async throws -> Run {
        try await sheaf(arguments, input: input, environment: environment, limit: limit, meanwhile: meanwhile)
    }

    /// Runs `sheaf` with a list of arguments.
    @discardableResult
    package func sheaf(
        _ arguments: [String],
        input: String? = nil,
        environment: [String: String] = [:],
        limit: Duration = .seconds(60),
        meanwhile: @escaping @Sendable (Int32) async throws -> Void = { _ in }
    ) async throws -> Run {
        try await run(
            Self.executable,
            arguments,
            input: input,
            variables: environment,
            limit: limit,
            meanwhile: meanwhile
        )
    }

    /// Runs a shell command line in which `$SHEAF` is the command; `meanwhile` receives the process identifier of the
    /// shell.
    @discardableResult
    package func shell(
        _ line: String,
        limit: Duration = .seconds(60),
        meanwhile: @escaping @Sendable (Int32) async throws -> Void = { _ in }
    ) async throws -> Run {
        try await run(
            "/bin/bash",
            ["-c", line],
            input: nil,
            variables: ["SHEAF": Self.executable],
            limit: limit,
            meanwhile: meanwhile
        )
    }

    private func run(
        _ program: String,
        _ arguments: [String],
        input: String?,
        variables: [String: String],
        limit: Duration,
        meanwhile: @escaping @Sendable (Int32) async throws -> Void
    ) async throws -> Run {
        var all = ["PATH": "/usr/bin:/bin", "HOME": folder, "TERM": "xterm"]
        all.merge(environment) { $1 }
        all.merge(variables) { $1 }
        let configuration = Configuration(
            executable: .path(FilePath(program)),
            arguments: Arguments(arguments),
            environment: .custom(
                Dictionary(all.map { (Environment.Key(stringLiteral: $0), $1) }, uniquingKeysWith: { $1 })
            ),
            workingDirectory: FilePath(folder)
        )
        // Leaving the group early ends the process too.
        let run = try await withThrowingTaskGroup(of: Run?.self) { group in
            group.addTask { try await Self.outcome(of: configuration, input: input ?? "", meanwhile: meanwhile) }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        guard let run else { throw TestToolError("\(arguments.joined(separator: " ")) took longer than \(limit)") }
        return run
    }

    private static func outcome(
        of configuration: Configuration,
        input: String,
        meanwhile: @Sendable (Int32) async throws -> Void
    ) async throws -> Run {
        let result = try await Subprocess.run(
            configuration,
            input: .string(input),
            output: .string(limit: 64 << 20),
            error: .string(limit: 1 << 20)
        ) { execution in try await meanwhile(execution.processIdentifier.value) }
        let code: Int32 =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let signal): 128 + signal
            }
        return Run(code: code, output: result.standardOutput, talk: result.standardError)
    }

    /// Waits until the condition holds; throws if that takes longer than the limit.
    package func until(
        _ what: String,
        limit: Duration = .seconds(30),
        _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + limit
        while try await !condition() {
            if ContinuousClock.now > deadline { throw TestToolError("not within \(limit): \(what)") }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Writes a file in the folder.
    package func write(_ text: String, to name: String) throws {
        let path = "\(folder)/\(name)"
        try FileManager.default.createDirectory(
            atPath: FilePath(path).removingLastComponent().string,
            withIntermediateDirectories: true
        )
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    /// Reads a file in the folder.
    package func read(_ name: String) throws -> String {
        try String(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"), encoding: .utf8)
    }

    /// Returns the lines of a file in the folder, or no lines if the file does not exist.
    package func lines(of name: String) throws -> [Substring] {
        guard FileManager.default.fileExists(atPath: "\(folder)/\(name)") else { return [] }
        return try read(name).split(separator: "\n")
    }
}
