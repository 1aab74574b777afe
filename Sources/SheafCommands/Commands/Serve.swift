import ArgumentParser
import OrderedCollections
import ServiceLifecycle
import Sheaf
import SheafFormats
import SheafServer
import SheafSettings
import Synchronization

extension SheafCommand {
    /// Serves the HTTP API and the pages.
    struct Serve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Serve the HTTP API and the pages for browsers.",
            usage: "sheaf serve [<options>]",
            discussion: """
                Any number of servers may run beside each other; a server holds no state of its own. Without tokens \
                in sheaf.yaml (server.tokens), every client may do everything, and only this machine is served. \
                SIGTERM or SIGINT lets running requests finish; a second signal cuts them.

                Example:
                  sheaf serve --port 8080
                """
        )

        @Option(help: ArgumentHelp("The address to listen on (default: 127.0.0.1).", valueName: "address"))
        var host: String?

        @Option(help: ArgumentHelp("The port to listen on; 0 takes any free port (default: 8080).", valueName: "port"))
        var port: Int?

        @Option(help: ArgumentHelp("The path under which all is served, such as /sheaf.", valueName: "path"))
        var prefix: String?

        @Option(
            help: ArgumentHelp(
                "The URL under which clients reach the server through a proxy, such as https://sheaf.example.org.",
                valueName: "url"
            )
        )
        var publicURL: String?

        @Option(help: ArgumentHelp("The PEM file with the TLS certificate and its chain.", valueName: "file"))
        var tlsCertificate: String?

        @Option(help: ArgumentHelp("The PEM file with the key of the TLS certificate.", valueName: "file"))
        var tlsKey: String?

        @OptionGroup var common: CommonOptions

        func validate() throws {
            if let port, !(0...65_535).contains(port) { throw ValidationError("--port must be from 0 to 65535") }
            if let prefix, ServerSettings.normalPrefix(prefix) == nil {
                throw ValidationError("--prefix must be \(ServerSettings.prefixRule)")
            }
            if let publicURL, ServerSettings.normalPublicURL(publicURL) == nil {
                throw ValidationError("--public-url must be \(ServerSettings.publicURLRule)")
            }
            if (tlsCertificate == nil) != (tlsKey == nil) {
                throw ValidationError("--tls-certificate and --tls-key belong together")
            }
        }

        func run() async throws {
            let session = try Session(common)
            let options = try options(session.settings)
            let watch = SignalWatch()
            let group = Mutex<ServiceGroup?>(nil)
            do {
                try await watch.run(
                    ease: { _ in
                        guard let group = group.withLock({ $0 }) else { return false }
                        session.console.say(
                            "the server accepts no more connections and lets running requests finish; "
                                + "a second signal cuts them"
                        )
                        await group.triggerGracefulShutdown()
                        return true
                    },
                    { [options] in
                        try await session.tracingBatches { traces in
                            var options = options
                            options.traces = traces
                            try await serve(options, session) { services in group.withLock { $0 = services } }
                        }
                    }
                )
            } catch let error as ServerError {
                throw Diagnosis(error)
            } catch {
                throw watch.interruption ?? error
            }
        }

        /// Serves until the services are told to end.
        private func serve(
            _ options: ServerOptions,
            _ session: Session,
            onStart: (ServiceGroup) -> Void
        ) async throws {
            try await session.withClient { client in
                var options = options
                options.dispatchers = session.settings.dispatchers.values.map { dispatcher in
                    ServedDispatcher(
                        name: dispatcher.name,
                        flow: dispatcher.flow,
                        interval: dispatcher.timeInterval
                    ) {
                        try await dispatcher.openQueue(client)
                    }
                }
                let url = options.url
                let server = Server(client: client, options: options, logger: session.logger) { port in
                    session.console.say("listening on \(url(port))")
                }
                let services = ServiceGroup(
                    configuration: ServiceGroupConfiguration(
                        services: [
                            ServiceGroupConfiguration.ServiceConfiguration(
                                service: server,
                                successTerminationBehavior: .gracefullyShutdownGroup
                            )
                        ],
                        logger: session.logger
                    )
                )
                onStart(services)
                try await services.run()
            }
        }

        /// Returns the options of the configuration, with those of the command line.
        private func options(_ settings: Settings) throws -> ServerOptions {
            if let variable = settings.server.missingVariables.first {
                throw Diagnosis(
                    .configuration,
                    "a token in server.tokens needs the environment variable '\(variable)', which is not set",
                    advice: "set it, for example to the output of 'openssl rand -hex 32'"
                )
            }
            var options = ServerOptions(settings.server)
            if let host { options.host = host }
            if let port { options.port = port }
            if let prefix { options.prefix = ServerSettings.normalPrefix(prefix) ?? "" }
            if let publicURL { options.publicURL = ServerSettings.normalPublicURL(publicURL) }
            if let tlsCertificate, let tlsKey { options.tls = (tlsCertificate, tlsKey) }
            options.flows = Array(settings.flows.values)
            options.metricsBatches = settings.metricsBatches
            return options
        }
    }
}

extension Diagnosis {
    /// Puts an error of the server into the words of the command.
    fileprivate init(_ error: ServerError) {
        switch error.code {
        case .needsTokens:
            self.init(
                .configuration,
                error.message,
                advice: "add tokens to sheaf.yaml: server: { tokens: [{ token: '${SHEAF_TOKEN}', scope: write }] }"
            )
        case .portInUse:
            self.init(.inputOutput, error.message, advice: "choose another port with --port, or end that program")
        case .cannotListen:
            self.init(.inputOutput, error.message, advice: "check --host; '127.0.0.1' serves this machine only")
        case .badCertificate:
            self.init(
                .configuration,
                error.message,
                advice: "name PEM files that belong together with --tls-certificate and --tls-key"
            )
        case .drainTimedOut: self.init(.timedOut, error.message)
        }
    }
}
