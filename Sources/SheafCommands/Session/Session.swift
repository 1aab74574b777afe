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
    ///
    /// With `orCommand`, the name may be a mistyped command, because `sheaf NAME` is short for `sheaf create NAME`.
    func flow(named name: String?, orCommand: Bool = false) throws -> FlowSettings {
        guard let name else {
            throw Diagnosis(
                .usage,
                "no flow was named",
                advice: "try 'sheaf create FLOW INPUT…'; known flows: "
                    + settings.flows.keys.map(\.text).joined(separator: ", ")
            )
        }
        guard let known = Name(name), let flow = settings.flows[known] else {
            let commands = orCommand ? CommandNames.suggestion(for: name) : nil
            throw Diagnosis(
                .notFound,
                settings.unknownFlow(name),
                advice: commands ?? "name one of these, or define it in sheaf.yaml"
            )
        }
        return flow
    }

    /// Returns the definitions of these flows for a worker, or of all flows that this program can run.
    ///
    /// With `isQuiet`, the flows that it leaves out are not mentioned.
    func definitions(named names: [String], isQuiet: Bool) throws -> [FlowDefinition] {
        let flows = try names.isEmpty ? ownFlows(isQuiet: isQuiet) : names.map { try flow(named: $0) }
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

    /// Whether a flow of the configuration runs in another program only.
    func isExternal(_ name: Name) -> Bool { settings.flows[name]?.isExternal == true }

    /// Throws if a flow of the configuration runs in another program only.
    func checkRunsHere(_ name: Name) throws {
        guard isExternal(name) else { return }
        throw Diagnosis(
            .configuration,
            "this command cannot run flow '\(name)': it is a Swift type in another program (swift: true)",
            advice: "start that program; it runs the tasks"
        )
    }

    private func ownFlows(isQuiet: Bool) -> [FlowSettings] {
        let others = settings.flows.values.filter(\.isExternal).map { "'\($0.name)'" }
        if !isQuiet, !others.isEmpty {
            console.say(
                "this worker does not run \(others.joined(separator: ", ")): another program does (swift: true)"
            )
        }
        return settings.flows.values.filter { !$0.isExternal }
    }

    /// Connects, runs the body and closes.
    func withClient<Result: Sendable>(_ body: (SheafClient) async throws -> Result) async throws -> Result {
        try await SheafClient.withClient(
            broker: settings.broker,
            namespace: settings.namespace,
            logger: logger,
            webhooks: try webhooks(),
            body
        )
    }

    private func webhooks() throws -> WebhookConfiguration? {
        guard let secret = settings.webhookSecret else { return nil }
        let isPrivate = settings.notifiesPrivateAddresses
        guard let webhooks = WebhookConfiguration(secret: secret, allowsPrivateAddresses: isPrivate) else {
            throw Diagnosis(
                .configuration,
                "webhook_secret is invalid",
                advice: "set it to whsec_ and 24 to 64 random bytes in Base64"
            )
        }
        return webhooks
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
