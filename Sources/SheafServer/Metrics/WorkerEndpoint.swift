import HTTPTypes
import Hummingbird
package import Logging
import NIOCore
import SheafCore
package import SheafTelemetry

/// A small HTTP server inside a worker: `/metrics`, `/healthz` and `/readyz`.
package struct WorkerEndpoint: Sendable {
    private let host: String
    private let port: Int
    private let registry: PrometheusRegistry
    private let health: WorkerHealth
    private let logger: Logger

    /// Creates an endpoint.
    ///
    /// - Parameters:
    ///   - host: The address to listen on.
    ///   - port: The port to listen on; 0 takes any free port.
    ///   - registry: The metrics to export.
    ///   - health: The health of the worker.
    ///   - logger: The logger.
    package init(host: String, port: Int, registry: PrometheusRegistry, health: WorkerHealth, logger: Logger) {
        self.host = host
        self.port = port
        self.registry = registry
        self.health = health
        self.logger = logger
    }

    /// Serves while the body runs.
    ///
    /// - Parameters:
    ///   - onListening: Called with the port before the body begins.
    ///   - body: What to do meanwhile.
    /// - Throws: ``ServerError`` if the port cannot be bound, and the error of the body.
    package func serving<Result>(
        onListening: (_ port: Int) -> Void,
        _ body: () async throws -> Result
    ) async throws -> Result {
        let (ports, listening) = AsyncThrowingStream<Int, any Error>.makeStream()
        // The end of the server is a cancellation, which the library logs as an error.
        var quiet = logger
        quiet.logLevel = .critical
        let application = Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname(host, port: port)),
            onServerRunning: { listening.yield($0.localAddress?.port ?? port) },
            logger: quiet
        )
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await application.run()
                    listening.finish()
                } catch let error as IOError {
                    listening.finish(throwing: ServerError(error, host: host, port: port))
                } catch {
                    listening.finish(throwing: error)
                }
            }
            defer { group.cancelAll() }
            for try await port in ports {
                onListening(port)
                break
            }
            try Task.checkCancellation()
            return try await body()
        }
    }

    private var router: Router<BasicRequestContext> {
        let router = Router()
        router.get("metrics") { _, _ in Response.metrics(registry.text) }
        router.get("healthz") { _, _ in Response.state(health.isAlive, "ok", else: "stalled") }
        router.get("readyz") { _, _ in Response.state(health.isReady, "ready", else: "not ready") }
        return router
    }
}

extension Response {
    /// Creates a response for a probe: 200 if all is well, else 503.
    fileprivate static func state(_ isWell: Bool, _ well: String, else ill: String) -> Response {
        .json(["status": .string(isWell ? well : ill)], status: isWell ? .ok : .serviceUnavailable)
    }
}
