import Foundation
import Logging
import OrderedCollections
import Sheaf
import SheafCore
import SheafFlows
import SheafSettings

/// What a command works with: the configuration, the streams and the way to the broker.
struct Session: Sendable {
    /// Where data and talk go.
    let console: Console
    /// Where entries of the log go.
    let logger: Logger
    /// The configuration: options go before the environment, that goes before the file.
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

    /// The flow of that name; the error names those there are.
    func flow(named name: String?) throws -> FlowSettings {
        guard let name else {
            throw Diagnosis(
                .usage,
                "no flow was given",
                advice: "try 'sheaf create FLOW INPUT…'; known flows: "
                    + settings.flows.keys.map(\.text).joined(separator: ", ")
            )
        }
        guard let known = Name(name), let flow = settings.flows[known] else {
            throw Diagnosis(.notFound, settings.unknownFlow(name), advice: "'sheaf --help' lists the commands")
        }
        return flow
    }

    /// The definitions of these flows, or of all, for a worker.
    func definitions(named names: [String]) throws -> [FlowDefinition] {
        let flows = try names.isEmpty ? Array(settings.flows.values) : names.map { try flow(named: $0) }
        for flow in flows {
            guard let variable = flow.missingVariables.first else { continue }
            throw Diagnosis(
                .configuration,
                "flow '\(flow.name)' needs the environment variable '\(variable)', which is not set",
                advice: names.isEmpty ? "set it, or name the flows to run with --flow" : "set it"
            )
        }
        return flows.map { $0.definition().logging(to: logger) }
    }

    /// Connects, runs the body and closes.
    func withClient<Result: Sendable>(_ body: (SheafClient) async throws -> Result) async throws -> Result {
        try await SheafClient.withClient(broker: settings.broker, namespace: settings.namespace, logger: logger, body)
    }
}
