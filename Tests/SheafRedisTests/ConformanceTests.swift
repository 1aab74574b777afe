import SheafRedis
import SheafTestTools
import SheafTesting
import Testing

@testable import SheafRedis

@Suite("Request queues in Redis")
struct RedisConformanceTests {
    @Test(
        "A list and a stream follow every rule",
        arguments: RedisRequestQueueConfiguration.Kind.allCases,
        RequestQueueConformance.cases
    )
    func conforms(kind: RedisRequestQueueConfiguration.Kind, rule: RequestQueueConformanceCase) async throws {
        try await RedisServer.with { server in
            let url = try server.url
            try await rule.run { setup in
                var configuration = RedisRequestQueueConfiguration(
                    kind: kind,
                    key: setup.key,
                    maxWaiting: setup.maxWaiting
                )
                configuration.clock = setup.clock
                return try await RedisRequestQueue.open(url: url, name: setup.name, configuration: configuration)
            }
        }
    }
}
