import ArgumentParser
import Foundation
import Logging
import OrderedCollections
import Sheaf
import SheafCore
import SheafFlows
import SheafSettings

/// The environment of a command: the configuration, the streams and the connection to the broker.
struct Session: Sendable {
    /// Standard output and standard error.
    let console: Console
    /// The logger.
    let logger: Logger
    /// The configuration: options take precedence over the environment, and the environment over the file.
    let settings: Settings

    /// Reads the configuration.
    init(_ options: CommonOptions, concurrency: Int? = nil) throws {
        let console = Console(options)
        self.console = console
        logger = Logger(label: "sheaf") { _ in ConsoleLogHandler(console: console, level: options.logLevel) }
        settings = try Settings.load(
            options.overrides(concurrency: concurrency),
            environment: ProcessInfo.processInfo.environment,
            directory: FileManager.default.currentDirectoryPath,
            brokerSchemes: BrokerRegistry.standard.schemes
        )
    }

    /// Returns the flow of that name; the error lists the known flows.
    func flow(named name: String?) throws -> FlowSettings {
        guard let name else {
            throw Diagnosis(
                .usage,
                "no flow was named",
                advice: "try 'sheaf create FLOW INPUT…'; known flows: "
                    + settings.flows.keys.map(\.text).joined(separator: ", ")
            )
        }
        guard let known = Name(name), let flow = settings.flows[known] else {
            throw Diagnosis(.notFound, settings.unknownFlow(name), advice: "'sheaf --help' lists the commands")
        }
        return flow
    }

    /// Returns the definitions of these flows for a worker, or of all flows that this program can run.
    func definitions(named names: [String]) throws -> [FlowDefinition] {
        let flows = try names.isEmpty ? ownFlows() : names.map { try flow(named: $0) }
        for flow in flows {
            try checkRunsHere(flow.name)
            guard let variable = flow.missingVariables.first else { continue }
            throw Diagnosis(
                .configuration,
                "flow '\(flow.name)' needs the environment variable '\(variable)', which is not set",
                advice: names.isEmpty ? "set it, or name the flows to run with --flow" : "set it"
            )
        }
        return flows.map { $0.definition().logging(to: logger) }
    }

    /// Throws if a flow of the configuration runs in another program only.
    func checkRunsHere(_ name: Name) throws {
        guard settings.flows[name]?.isExternal == true else { return }
        throw Diagnosis(
            .configuration,
            "this command cannot run flow '\(name)': it is a Swift type in another program (swift: true)",
            advice: "run that program"
        )
    }

    private func ownFlows() -> [FlowSettings] {
        let others = settings.flows.values.filter(\.isExternal).map { "'\($0.name)'" }
        if !others.isEmpty {
            console.say(
                "this worker does not run \(others.joined(separator: ", ")): another program does (swift: true)"
            )
        }
        return settings.flows.values.filter { !$0.isExternal }
    }

    /// Connects, runs the body and closes.
    func withClient<Result: Sendable>(_ body: (SheafClient) async throws -> Result) async throws -> Result {
        try await SheafClient.withClient(broker: settings.broker, namespace: settings.namespace, logger: logger, body)
    }
}

/// A command that a signal cancels.
protocol SessionCommand: AsyncParsableCommand, Sendable {
    /// The options that every command has.
    var common: CommonOptions { get }

    /// Runs the command.
    @concurrent func run(in session: Session) async throws
}

extension SessionCommand {
    func run() async throws {
        let session = try Session(common)
        try await SignalWatch.interruptible { try await self.run(in: session) }
    }
}
