import Glibc
import Logging
import SheafBatchKit
import Synchronization

/// A process that the tests of SheafBatchKit kill.
@main
struct BatchKitProbe {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 4 else { fatalError("usage: MODE FOLDER NAME …") }
        let (mode, store) = (arguments[1], BrokerReference.embedded(directory: arguments[2]))
        guard let name = Name(arguments[3]) else { fatalError("\(arguments[3]) is no name") }
        try await SheafClient.withClient(broker: store, logger: silent) { client in
            switch mode {
            case "submit": try await submit(client, name, url: arguments[4], key: arguments[5])
            case "handle": try await handle(client, name, calls: Int(arguments[4]) ?? 0)
            default: fatalError("unknown mode: \(mode)")
            }
        }
    }

    private static var silent: Logger {
        var logger = Logger(label: "probe")
        logger.logLevel = .critical
        return logger
    }

    /// Submits three requests, reports the job, works on it, and waits to be killed.
    private static func submit(_ client: SheafClient, _ name: Name, url: String, key: String) async throws {
        let model = BatchModel.chat("m", at: .openAI(key: key, baseURL: url))
        let manager = try BatchManager(
            client: client,
            model: model,
            mode: .bulk(BulkOptions(waitTime: .milliseconds(200))),
            name: name
        )
        let job = try await manager.submit(
            (1...3).map { BatchRequest(id: "req-\($0)", messages: [["role": "user", "content": .string("\($0)")]]) }
        )
        say("submitted \(job.id)")
        try await manager.run()
    }

    /// Handles batches with a function of which every third call throws; the number of earlier calls is given.
    private static func handle(_ client: SheafClient, _ name: Name, calls: Int) async throws {
        let count = Atomic(calls)
        let handler = BatchHandler(
            client: client,
            name: name,
            definition: FlowDefinition(name: name, flow: Doubling()),
            retryDelay: (.milliseconds(5), .milliseconds(20)),
            logger: silent
        ) { batch in
            say("began \(batch.id)")
            if count.wrappingAdd(1, ordering: .relaxed).newValue.isMultiple(of: 3) { throw ThirdCall() }
            let numbers = try await batch.results().compactMap { $0.output?.intValue }
            say("processed \(batch.id) \(numbers.map(String.init).joined(separator: " "))")
        }
        say("ready")
        try await handler.run()
    }

    private struct ThirdCall: Error {}

    private struct Doubling: Flow {
        func run(_ task: FlowTask) async throws -> FlowOutput {
            .value(.integer((try task.record.json["n"]?.intValue ?? 0) * 2))
        }
    }

    /// Writes a line in one call, so that killing the process does not leave a part of it.
    private static func say(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = write(1, bytes, bytes.count)
    }
}
