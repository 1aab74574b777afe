import Foundation
import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools

/// A process that repeatedly loses its connections to RabbitMQ and reports its descriptors, threads and memory.
///
/// It is a separate process because these could not be distinguished from those of other tests.
@main
struct BrokerProbe {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let rounds = Int(arguments[2]) else {
            throw BrokerError(.invalidArgument, "usage: BrokerProbe URL ROUNDS")
        }
        try await FaultProxy.with(inFrontOf: arguments[1]) { proxy, url in
            let broker = try await RabbitMQBroker.connect(RabbitMQConfiguration(url: url, namespace: "probe"))
            let suffix = String(UInt64.random(in: .min ... .max), radix: 36)
            let (queue, log) = ("probe.queue.\(suffix)", "probe.log.\(suffix)")
            try await broker.declareQueue(QueueDeclaration(name: queue, kind: .work(deliveryLimit: 1_000)))
            try await broker.declareLog(LogDeclaration(name: log))
            try await broker.append(Message(id: "entry"), to: log)
            for round in 1...rounds {
                let connections = proxy.acceptedConnections
                proxy.resetConnections()
                try await useEverything(broker, queue, log, lock: "probe.lock.\(suffix).\(round)")
                guard proxy.acceptedConnections >= connections + 3 else {
                    throw BrokerError(.protocolViolation, "round \(round) did not open all connections again")
                }
                if round == rounds / 5 || round == rounds { try await report(round, proxy) }
            }
            try await broker.deleteQueue(queue)
            try await broker.deleteLog(log)
            await broker.close()
        }
    }

    /// Uses every connection.
    private static func useEverything(
        _ broker: RabbitMQBroker,
        _ queue: String,
        _ log: String,
        lock: String
    ) async throws {
        try await retrying { try await broker.publish(Message(id: "task"), to: queue) }
        try await retrying {
            let consumer = try await broker.consume(queue, prefetch: 10)
            guard let deliveries = try await consumer.next(), !deliveries.isEmpty else {
                throw BrokerError(.protocolViolation, "the consumer ended unexpectedly")
            }
            try await broker.settle(deliveries + consumer.cancel(), as: .acknowledged)
        }
        try await retrying {
            let reader = try await broker.read(log, from: .first)
            while let chunk = try await reader.next(), chunk.entries.isEmpty {}
            await reader.cancel()
        }
        try await retrying {
            guard try await broker.acquireLock(lock) != nil else {
                throw BrokerError(.protocolViolation, "the lock is held although its name is unique")
            }
        }
        try await retrying {
            guard try await broker.queueStatus(queue) != nil else {
                throw BrokerError(.protocolViolation, "the queue was reported as missing")
            }
        }
    }

    private static func retrying(_ body: () async throws -> Void) async throws {
        while true {
            do {
                return try await body()
            } catch let error as BrokerError where error.isRetryable {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }

    /// Prints the minimum of some samples, because threads and sockets of lost connections end with a short delay.
    private static func report(_ round: Int, _ proxy: FaultProxy) async throws {
        var (descriptors, threads, memory) = (Int.max, Int.max, Int.max)
        for _ in 0..<20 {
            try await Task.sleep(for: .milliseconds(50))
            descriptors = min(descriptors, try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count)
            threads = min(threads, try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count)
            memory = min(memory, try residentKilobytes())
        }
        print("\(round) \(descriptors) \(threads) \(memory) \(proxy.acceptedConnections)")
    }

    private static func residentKilobytes() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0
    }
}
