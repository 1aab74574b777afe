import ArgumentParser
import OrderedCollections
import Sheaf
import SheafCore
import SheafDispatch
import SheafFormats
import SheafSettings
import SheafSources

extension SheafCommand {
    /// Adds requests, and looks at them.
    struct Requests: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add requests to a dispatcher's queue, and find their answers.",
            discussion: """
                A request is a record that waits until 'sheaf dispatch' puts it into a batch with others.

                Examples:
                  sheaf requests
                  sheaf requests add reviews new.jsonl
                  sheaf requests show order-17
                """,
            subcommands: [List.self, Add.self, Show.self],
            defaultSubcommand: List.self
        )
    }
}

extension SheafCommand.Requests {
    /// Lists the dispatchers.
    struct List: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print how many requests wait, and for how long. (The default.)",
            usage: "sheaf requests list [<options>]",
            discussion: """
                Example:
                  sheaf requests list --json
                """
        )

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let dispatchers = try session.dispatchers(named: [])
            let waiting = try await session.withClient { client in
                var waiting: [WaitingRequests] = []
                for dispatcher in dispatchers {
                    waiting.append(
                        try await session.withRequests(of: dispatcher, client) { try await $0.waiting() }
                    )
                }
                return waiting
            }
            if json.isOn {
                let all = zip(dispatchers, waiting).map { $1.json(name: $0.name, flow: $0.flow) }
                return try session.console.print(JSONValue.array(all).text)
            }
            var table = TextTable(columns: [
                .init(heading: "DISPATCHER"), .init(heading: "FLOW"), .init(heading: "WAITING", isNumeric: true),
                .init(heading: "BYTES", isNumeric: true), .init(heading: "OLDEST"),
            ])
            for (dispatcher, waiting) in zip(dispatchers, waiting) {
                table.add([
                    .init(dispatcher.name.text), .init(dispatcher.flow.text), .init(String(waiting.count)),
                    .init(String(waiting.bytes)), .init(waiting.oldest.map { Wording.ago($0, now: .now) } ?? "-"),
                ])
            }
            for line in table.lines { try session.console.print(line) }
        }
    }

    /// Shows one request.
    struct Show: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what became of a request.",
            usage: "sheaf requests show [<options>] <id>",
            discussion: """
                The state is 'waiting', 'dispatched' (in a batch, without an outcome), or how its task ended. The logs \
                of requests are searched, and then the results of the \(RequestAnswers.searchedBatches) newest \
                batches of each dispatcher. With --wait, the exit code is 7 if the time passes first.

                Examples:
                  sheaf requests show order-17
                  sheaf requests show order-17 --wait 10m
                """
        )

        @Argument(help: "The id of the request, which its sender chose or 'sheaf requests add' printed.")
        var id: String

        @Option(
            help: ArgumentHelp("Wait at most this time until its task has ended, such as 5m.", valueName: "time")
        )
        var wait: TimeSpan?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let dispatchers = try session.dispatchers(named: [])
            let answer = try await session.withClient { client -> RequestAnswer? in
                for dispatcher in dispatchers {
                    let answer = try await session.withRequests(of: dispatcher, client) { queue in
                        let answers = RequestAnswers(client: client, queue: queue)
                        let answer = try await answers.wait(for: id, atMost: wait?.duration ?? .zero)
                        await answers.close()
                        return answer
                    }
                    if let answer { return answer }
                }
                return nil
            }
            guard let answer else {
                throw Diagnosis(
                    .notFound,
                    "there is no request '\(id)' in the queues, and none in the newest batches",
                    advice: "if it is older, search the results of its batch; 'sheaf list' lists the batches"
                )
            }
            if json.isOn {
                try session.console.print(answer.json(id: id).text)
            } else {
                try show(answer, session.console)
            }
            if wait != nil, !answer.isFinal {
                throw Diagnosis(.timedOut, "request '\(id)' has no answer yet: it is \(answer.state)")
            }
        }

        private func show(_ answer: RequestAnswer, _ console: Console) throws {
            try console.print("state    \(answer.state)")
            if let batch = answer.batch { try console.print("batch    \(batch)") }
            guard case .ended(_, let outcome) = answer else { return }
            try console.print("task     \(outcome.index)")
            if let error = outcome.error { try console.print("error    \(error.type): \(error.message)") }
            if let output = outcome.output {
                try console.print("output   \(String(decoding: output, as: UTF8.self))")
            }
        }
    }

    /// Adds requests.
    struct Add: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add each record of an input as a request.",
            usage: "sheaf requests add [<options>] [<name>] <input> ...",
            discussion: """
                The id of each request is printed once it is stored: the record's own id, or a new one. \
                A repeat of a recent request with the same id and the same content is dropped later, so an addition \
                that failed can be repeated if the records have ids. Records that cannot be read are reported and left \
                out, and the exit code is then 65.

                Examples:
                  sheaf requests add reviews new.jsonl
                  generate | sheaf requests add reviews - --format jsonl --id-field order
                """
        )

        @Argument(
            help: "The dispatcher, if there are several, and then files, folders, globs, or - for standard input.",
            completion: .file()
        )
        var arguments: [String]

        @Option(help: "How inputs are split into records; default: by the ending of their names.")
        var format: SourceFormat?

        @Option(
            help: ArgumentHelp("The field that holds a request's id; default: id or record_id.", valueName: "field")
        )
        var idField: String?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let (dispatcher, inputs) = try target(session)
            let configuration = SourceConfiguration(
                inputs: inputs,
                format: format,
                idField: idField,
                shuffle: false
            )
            let source: RecordSource
            do {
                source = try await RecordSource.open(configuration)
            } catch let error as SourceError {
                throw Diagnosis(of: error, reading: configuration)
            }
            let report = try await session.withClient { client in
                try await session.withRequests(of: dispatcher, client) { queue in
                    var sender = RequestSender(queue: queue, console: session.console, printsIDs: !json.isOn)
                    try await sender.send(source)
                    return sender
                }
            }
            session.console.say("added \(Wording.count(report.added, "request")) to \(dispatcher.name)")
            if json.isOn {
                let value: JSONValue = [
                    "name": .string(dispatcher.name.text), "added": .integer(report.added),
                    "invalid": .integer(report.invalid),
                ]
                try session.console.print(value.text)
            }
            if report.invalid > 0 {
                throw Diagnosis(
                    .badData,
                    "\(Wording.count(report.invalid, "record")) could not be added; the others were added"
                )
            }
        }

        /// Returns the dispatcher and the inputs that the arguments name.
        private func target(_ session: Session) throws -> (DispatchSettings, [String]) {
            if arguments.count > 1, let name = Name(arguments[0]), let named = session.settings.dispatchers[name] {
                return (named, Array(arguments.dropFirst()))
            }
            if session.settings.dispatchers.count > 1 {
                if arguments.count == 1 { return (try session.onlyDispatcher(), arguments) }
                return (try session.dispatchers(named: [arguments[0]])[0], Array(arguments.dropFirst()))
            }
            return (try session.onlyDispatcher(), arguments)
        }
    }
}

/// Adds the records of a source to a queue, some at a time.
private struct RequestSender {
    let queue: any RequestQueue
    let console: Console
    let printsIDs: Bool
    private(set) var added = 0
    private(set) var invalid = 0

    /// How many requests are added at once.
    private static let window = 2000
    /// How many bytes are added at once, about.
    private static let windowBytes = 4 << 20
    /// How many records that cannot be added are reported.
    private static let mostComplaints = 20

    init(queue: any RequestQueue, console: Console, printsIDs: Bool) {
        (self.queue, self.console, self.printsIDs) = (queue, console, printsIDs)
    }

    mutating func send(_ source: RecordSource) async throws {
        var requests: [Record] = []
        var bytes = 0
        do {
            for try await chunk in source.chunks() {
                for item in chunk {
                    guard let request = request(of: item) else { continue }
                    requests.append(request)
                    bytes += request.bytes.count
                }
                guard requests.count >= Self.window || bytes >= Self.windowBytes else { continue }
                try await add(requests)
                (requests, bytes) = ([], 0)
            }
            try await add(requests)
        } catch {
            if added > 0 { console.complain("sheaf: \(Wording.count(added, "request")) were added before this failed") }
            throw error
        }
    }

    private mutating func add(_ requests: [Record]) async throws {
        try await queue.add(requests)
        added += requests.count
        if printsIDs { for request in requests { try console.print(request.id) } }
    }

    /// Returns the request of an item, or reports why it is none.
    private mutating func request(of item: SourceItem) -> Record? {
        switch item.content {
        case .record(var record):
            // Without an id of its own, a record has its place as its id.
            if record.id == item.place { record.id = RequestID.random(in: queue.name) }
            do {
                try RequestID.check(record)
                return record
            } catch {
                report("\(item.place): \(error)")
                return nil
            }
        case .invalid:
            report(item.complaint)
            return nil
        }
    }

    private mutating func report(_ problem: String) {
        invalid += 1
        if invalid <= Self.mostComplaints { console.complain("sheaf: \(problem)") }
    }
}
