import Foundation
import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

@Suite(.timeLimit(.minutes(2))) struct ServerBrokerLossTests {
    @Test("A server that loses its broker answers from memory, is not ready, and recovers")
    func lostBroker() async throws {
        try await Stage.with(.rabbitMQ) { stage in
            try await FaultProxy.with(inFrontOf: stage.reference.text) { proxy, url in
                var logger = Logger(label: "test")
                logger.logLevel = .critical
                try await SheafClient.withClient(
                    broker: BrokerReference(url),
                    namespace: stage.namespace,
                    logger: logger
                ) { client in
                    try await ServerTestBench.with(on: client, { _ in }) { bench in
                        #expect(try await bench.send("GET", "/readyz").status == 200)
                        proxy.set(.refuse)
                        try await bench.wait(for: 503, at: "/readyz")
                        #expect(try await bench.send("GET", "/healthz").status == 200)
                        #expect(try await bench.send("GET", "/api/batches").status == 200)
                        proxy.set(.pass)
                        try await bench.wait(for: 200, at: "/readyz")
                        let batch = try await stage.client { client in
                            try await client.create(plan(), records: records(1))
                        }
                        try await bench.wait(for: 200, at: "/api/batches/\(batch.id)")
                    }
                }
            }
        }
    }
}

extension ServerTestBench {
    /// Waits until a path answers with a status; the time-out is that of the test.
    fileprivate func wait(for status: Int, at path: String) async throws {
        while try await send("GET", path).status != status { try await Task.sleep(for: .milliseconds(50)) }
    }
}
