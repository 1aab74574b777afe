import HTTPTypes
import Hummingbird
import ServiceLifecycle
import SheafBatches
import SheafBroker
import SheafCore
import SheafFormats
import Synchronization

/// Tells probes whether the process lives, and whether the broker can be used.
struct HealthRoutes {
    let contact: BrokerContact

    func register(on router: Router<ServerContext>) {
        router.get("healthz") { _, _ in Response.json(["status": "ok"]) }
        router.get("readyz") { _, context in
            if let problem = contact.problem {
                return Response.problem(
                    .serviceUnavailable,
                    problem,
                    next: "pages and GET requests show what was known last; try again later",
                    headers: [.retryAfter: "2"]
                )
            }
            return Response.json(["status": "ready"])
        }
    }
}

/// Asks the broker regularly, so that a probe needs no answer of its own.
final class BrokerContact: Service {
    private let client: SheafClient
    private let last: Mutex<(success: ContinuousClock.Instant, error: String?)>

    /// The time between two questions.
    private static let interval = Duration.seconds(2)
    /// The longest time without an answer after which the server still counts as ready.
    private static let patience = Duration.seconds(6)

    /// Creates a contact that has just been successful.
    init(client: SheafClient) {
        self.client = client
        last = Mutex((.now, nil))
    }

    /// Why the server is not ready; nil if it is.
    var problem: String? {
        let last = last.withLock { $0 }
        if let error = last.error { return error }
        return ContinuousClock.now - last.success < Self.patience ? nil : "the broker does not answer"
    }

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                while true {
                    try await Task.sleep(for: Self.interval)
                    await self.ask()
                }
            }
        } catch is CancellationError {
            try Task.checkCancellation()  // after a graceful shutdown the task itself is not cancelled
        }
    }

    private func ask() async {
        do {
            // A question about a lock reads nothing and writes nothing.
            _ = try await client.broker.isLocked(client.names.aggregatorLock)
            last.withLock { $0 = (.now, nil) }
        } catch is CancellationError {
        } catch {
            last.withLock { $0.error = Problem(of: error).message }
        }
    }
}
