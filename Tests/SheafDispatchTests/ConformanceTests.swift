import Sheaf
import SheafDispatch
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@Suite("Request queues")
struct RequestQueueConformanceTests {
    @Test("The queue in memory follows every rule", arguments: RequestQueueConformance.cases)
    func memory(rule: RequestQueueConformanceCase) async throws {
        let only = Mutex<MemoryRequestQueue?>(nil)
        try await rule.run { setup in
            only.withLock { queue in
                let made =
                    queue
                    ?? MemoryRequestQueue(
                        name: setup.name,
                        key: setup.key,
                        maxWaiting: setup.maxWaiting,
                        clock: setup.clock
                    )
                queue = made
                return made
            }
        }
    }

    @Test(
        "The broker's queue follows every rule",
        arguments: [BrokerKind.embedded, .rabbitMQ],
        RequestQueueConformance.cases
    )
    func broker(kind: BrokerKind, rule: RequestQueueConformanceCase) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                try await rule.run { setup in
                    var configuration = BrokerRequestQueueConfiguration(key: setup.key, maxWaiting: setup.maxWaiting)
                    configuration.clock = setup.clock
                    return try await BrokerRequestQueue.open(
                        client: client,
                        name: setup.name,
                        configuration: configuration
                    )
                }
            }
        }
    }
}
