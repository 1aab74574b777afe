import Foundation
import Sheaf

/// What the benchmarks need and the command cannot do: feed an open batch task by task, and fill a results log.
@main
struct BenchProbe {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        switch arguments.first {
        case "latency" where arguments.count == 4:
            guard let namespace = Name(arguments[2]), let count = Int(arguments[3]) else { throw usage }
            try await withClient(arguments[1], namespace) { client in
                let seconds = try await Latency(client: client, count: count).median()
                print(String(format: "%.9f", seconds))
            }
        case "results" where arguments.count == 5:
            guard let namespace = Name(arguments[2]), let batch = Name(arguments[3]), let count = Int(arguments[4])
            else { throw usage }
            try await withClient(arguments[1], namespace) { client in
                try await ReadyResults(client: client, batch: batch, count: count).write()
            }
        default: throw usage
        }
    }

    private static func withClient(
        _ broker: String,
        _ namespace: Name,
        _ body: (SheafClient) async throws -> Void
    ) async throws {
        let reference = BrokerReference(broker)
        try await SheafClient.withClient(broker: reference, namespace: namespace, body)
    }

    private static let usage = SheafError(
        .invalid,
        "usage: BenchProbe latency BROKER NAMESPACE COUNT, or BenchProbe results BROKER NAMESPACE BATCH COUNT"
    )
}

extension Name {
    /// The flow whose output is its record.
    static let echo: Name = "echo"
}
