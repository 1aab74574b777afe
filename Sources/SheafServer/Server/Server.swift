import Hummingbird
import HummingbirdCore
import HummingbirdTLS
package import Logging
import NIOCore
import ServiceLifecycle
package import SheafBatches

/// Serves the HTTP API: it holds a live view of all batches and no state of its own.
package final class Server: Service {
    private let client: SheafClient
    private let options: ServerOptions
    private let logger: Logger
    private let onListening: @Sendable (_ port: Int) -> Void

    /// Creates a server.
    ///
    /// - Parameters:
    ///   - client: The connection to use; it must stay open while the server runs.
    ///   - options: Where and how to listen, and whom to admit.
    ///   - logger: The logger; requests are logged at the level `info`.
    ///   - onListening: Called with the port once connections are accepted.
    package init(
        client: SheafClient,
        options: ServerOptions,
        logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) {
        self.client = client
        self.options = options
        self.logger = logger
        self.onListening = onListening
    }

    /// Serves until the task is cancelled or the service shuts down.
    ///
    /// A graceful shutdown accepts no more connections and lets running requests finish; streams of events end at
    /// once.
    ///
    /// - Throws: ``ServerError`` if the server cannot listen, or if requests were still running at the end of
    ///   ``ServerOptions/drainTime``, and `BrokerError` if the broker cannot be used.
    package func run() async throws {
        let builder = try serverBuilder()
        let parts = try await assemble()
        let application = Application(
            responder: FrontDoor(
                inner: parts.router.buildResponder(),
                routes: RouteTable(parts.router),
                hosts: HostRules(options),
                prefix: options.prefix,
                missingPage: parts.missingPage
            ),
            server: builder,
            configuration: ApplicationConfiguration(
                address: .hostname(options.host, port: options.port),
                // Connections above the limit get an answer, which takes a moment; so many more may wait for it.
                availableConnectionsDelegate: .maximum(options.limits.connections + 100, logger: logger)
            ),
            services: parts.services,
            onServerRunning: { [options, onListening] in onListening($0.localAddress?.port ?? options.port) },
            logger: logger
        )
        do {
            do {
                try await run(application)
            } catch {
                await parts.desk.close()
                throw error
            }
            await parts.desk.close()
        } catch let error as IOError {
            throw ServerError(error, host: options.host, port: options.port)
        } catch let error as SocketAddressError {
            throw ServerError(code: .cannotListen, message: "cannot listen on \(options.host): \(error)")
        }
    }

    /// The routes, what runs beside them, and the page for an address that leads nowhere.
    struct Parts {
        let router: Router<ServerContext>
        let services: [any Service]
        let desk: RequestDesk
        let missingPage: @Sendable (_ request: Request, _ prefix: String) -> Response

        /// The methods and paths of all routes.
        var routes: [String] { router.routes.map { "\($0.method.rawValue) \($0.path)" } }
    }

    /// Makes the parts; each group of routes declares its own.
    func assemble() async throws -> Parts {
        let directory = try await BatchDirectory(client: client)
        let hub = BatchEventHub(directory: directory)
        let history = RateHistory(directory: directory)
        let watch = BrokerWatch(client: client)
        let tasks = TaskDirectory(client: client, batches: directory)
        let pages = PageRoutes(
            client: client,
            directory: directory,
            tasks: tasks,
            history: history,
            readings: BatchReadings(client: client, tasks: tasks),
            flows: options.flows,
            hasTokens: !options.tokens.isEmpty,
            files: try PageFiles()
        )
        let access = AccessControl(tokens: options.tokens)
        let router = Router(context: ServerContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: ProblemMiddleware())
        router.add(middleware: AccessMiddleware(access: access))
        HealthRoutes(watch: watch).register(on: router)
        MetricsRoute(directory: directory, watch: watch, newestBatches: options.metricsBatches).register(on: router)
        DescriptionRoute(options).register(on: router)
        let api = router.group("api")
        BatchRoutes(client: client, directory: directory).register(on: api)
        CreateRoutes(client: client, directory: directory, flows: options.flows, traces: options.traces)
            .register(on: api)
        ControlRoutes(client: client, directory: directory, tasks: tasks, traces: options.traces).register(on: api)
        QuestionRoutes(client: client, directory: directory).register(on: api)
        SubmissionRoutes(client: client, directory: directory).register(on: api)
        DeadLetterRoutes(client: client).register(on: api)
        WorkerRoutes(directory: directory, flows: options.flows).register(on: api)
        EventRoutes(hub: hub).register(on: api)
        JobRoutes(tasks: tasks).register(on: api)
        ErrorRoutes(tasks: tasks).register(on: api)
        ResultRoutes(client: client).register(on: api)
        let desk = RequestDesk(options.dispatchers, client: client)
        RequestRoutes(desk: desk).register(on: api)
        pages.register(on: router.group())
        SignInRoutes(access: access, isSecure: options.isSecure, page: pages.signIn).register(on: router)
        let services: [any Service] = [directory, hub, history, watch]
        return Parts(router: router, services: services, desk: desk, missingPage: pages.missing)
    }

    /// Returns what accepts connections, with TLS or without.
    private func serverBuilder() throws -> HTTPServerBuilder {
        guard options.isLoopback || !options.tokens.isEmpty else {
            throw ServerError(
                code: .needsTokens,
                message: "cannot listen on \(options.host): without tokens only the loopback interface is served"
            )
        }
        let (limits, count) = (options.limits, ConnectionCount())
        let plain = HTTPServerBuilder { GuardedChannel(responder: $0, limits: limits, count: count) }
        guard let tls = options.tls else { return plain }
        let configuration = try Certificate.configuration(certificate: tls.certificate, key: tls.key)
        return try .tls(plain, tlsConfiguration: configuration)
    }

    /// Runs until the end, and after the order to shut down for a limited time.
    private func run(_ application: some ApplicationProtocol) async throws {
        let time = options.drainTime
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            group.addTask {
                try await gracefulShutdown()
                try await Task.sleep(for: time)
                throw ServerError(
                    code: .drainTimedOut,
                    message: "requests were still running \(time) after the order to end; they were cut"
                )
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
