import SheafCore
import SheafFormats
import Testing

@testable import SheafCommands

@Suite struct RenderingTests {
    private func name(_ text: String) throws -> Name { try #require(Name(text)) }

    private let moment = Timestamp(milliseconds: 1_700_000_000_000)

    private func outcome(_ index: Int, output: String? = nil, error: Outcome.Failure? = nil) -> Outcome {
        Outcome(
            index: index,
            status: error == nil ? .succeeded : .failed,
            recordID: "r,\(index)",
            output: output.map { Array($0.utf8) },
            error: error,
            startedAt: moment,
            finishedAt: moment,
            worker: "w"
        )
    }

    private func render(_ format: ResultFormat, _ outcomes: [Outcome]) throws -> String {
        var writer = ResultWriter(format: format, batch: try name("b"))
        var bytes = writer.head
        for outcome in outcomes { writer.write(outcome, to: &bytes) }
        #expect(writer.rows == outcomes.count)
        return String(decoding: bytes + writer.tail, as: UTF8.self)
    }

    @Test("CSV quotes cells with commas, quotes and line breaks") func csvQuotesWhatNeedsIt() throws {
        let failure = Outcome.Failure(type: "exit-code", message: "said \"no\"\nand left")
        let text = try render(.csv, [outcome(0, output: "\"a\\nb\""), outcome(1, error: failure)])
        let time = moment.description
        #expect(
            text == """
                batch_id,index,record_id,status,output,error_type,error_message,attempts,started_at,finished_at,worker
                b,0,"r,0",succeeded,"a
                b",,,1,\(time),\(time),w
                b,1,"r,1",failed,,exit-code,"said ""no""
                and left",1,\(time),\(time),w

                """
        )
    }

    @Test("CSV keeps outputs that are JSON values") func csvKeepsJSONOutputsAsJSON() throws {
        let text = try render(.csv, [outcome(0, output: "{\"n\":1}"), outcome(1, output: "42")])
        #expect(text.contains("\"{\"\"n\"\":1}\""))
        #expect(text.contains(",42,"))
    }

    @Test("JSON is one array") func jsonIsOneArray() throws {
        for count in 0...3 {
            let text = try render(.json, (0..<count).map { outcome($0, output: "1") })
            #expect(try JSON.parse(text).arrayValue?.count == count)
        }
    }

    @Test("JSONL has one row per line") func jsonlIsARowALine() throws {
        let lines = try render(.jsonl, [outcome(0, output: "1"), outcome(1, output: "2")]).split(separator: "\n")
        #expect(lines.count == 2)
        for (index, line) in lines.enumerated() {
            let row = try JSON.parse(String(line))
            #expect(row["index"]?.intValue == index)
            #expect(row["batch_id"] == "b")
        }
        #expect(try render(.jsonl, []).isEmpty)
    }

    @Test("The ending of a file decides the format") func formatByEnding() {
        #expect(ResultFormat(ending: "a/b.CSV") == .csv)
        #expect(ResultFormat(ending: "x.jsonl") == .jsonl)
        #expect(ResultFormat(ending: "x.json") == .json)
        #expect(ResultFormat(ending: "csv") == nil)
    }

    @Test("Tables are aligned") func tablesAreAligned() {
        var table = TextTable(columns: [
            .init(heading: "NAME"), .init(heading: "N", isNumeric: true), .init(heading: "X"),
        ])
        table.add([.init("a"), .init("7") { "<\($0)>" }, .init("x")])
        table.add([.init("longer"), .init("1234"), .init("")])
        #expect(
            table.lines == [
                "NAME       N  X",
                "a          <7>  x",
                "longer  1234",
            ]
        )
    }

    @Test(
        "Durations have their two largest units",
        arguments: [
            (Duration.milliseconds(40), "0.0 s"), (.milliseconds(3210), "3.2 s"), (.seconds(42), "42 s"),
            (.seconds(250), "4 min 10 s"), (.seconds(7500), "2 h 5 min"), (.seconds(273_600), "3 d 4 h"),
            (.seconds(-5), "0.0 s"),
        ]
    ) func durations(duration: Duration, text: String) {
        #expect(Wording.duration(duration) == text)
    }

    @Test("Counts are put into words") func countsInWords() {
        #expect(Wording.counts(BatchCounts(pending: 1, succeeded: 2)) == "2 succeeded, 1 pending")
        #expect(Wording.counts(BatchCounts()) == "no tasks")
        #expect(Wording.count(1, "task") == "1 task")
        #expect(Wording.count(0, "task") == "0 tasks")
    }

    @Test("A password is masked, and the form of a URL in a message stays readable") func passwordsAreMasked() {
        let rule = "expected amqp://user:password@host:port/vhost, the same with amqps"
        #expect(Credentials.masked(rule) == rule)
        #expect(Credentials.masked("amqp://user:password@host/v") == "amqp://user:***@host/v")
        #expect(Credentials.masked("\(rule), found amqps://a:b@c") == "\(rule), found amqps://a:***@c")
    }

    @Test("Only its own program runs the tasks of an external flow") func nextStepsOfAnExternalFlow() throws {
        let id = try name("b")
        let flow = try name("f")
        let own = Wording.nextSteps(for: id, of: flow, isExternal: false)
        #expect(own == "run its tasks with 'sheaf run --until-empty', follow it with 'sheaf watch b'")
        let external = Wording.nextSteps(for: id, of: flow, isExternal: true)
        #expect(external.hasPrefix("start the program that holds flow 'f' (swift: true)"))
        #expect(!external.contains("--until-empty"))
    }

    @Test("A batch that is stopped with tasks left is called failed and stopped, not finished") func stoppedBatches()
        throws
    {
        var journal = JournalState()
        let id = try name("b")
        func note(_ event: JournalEntry.Event) {
            journal.apply(JournalEntry(batch: id, flow: id, at: moment, event: event))
        }
        note(.created(options: BatchOptions(), source: "", nonce: "n"))
        note(.sealed(total: 3))
        note(.stopped(reason: "task 0 (a) failed"))
        let summary = BatchSummary(info: try #require(journal[id]), progress: nil)
        #expect(Wording.conclusion(summary) == "batch b failed: 3 pending (stopped: task 0 (a) failed)")
        let details = BatchDetails.lines(summary, style: Style(isOn: false), now: moment)
        #expect(details.contains("status   failed (stopped: task 0 (a) failed)"))
        #expect(details.contains { $0.hasPrefix("stopped  ") } && !details.contains { $0.hasPrefix("finished") })
        #expect(Wording.afterFailures(summary) == nil)
    }

    @Test("Health checks show level and advice") func healthChecksShowLevelAndAdvice() {
        let check = HealthCheck.openFiles(limit: 256)
        #expect(check.level == .warn)
        #expect(check.lines(style: Style(isOn: false)).first == "warn  open files: at most 256")
        #expect(HealthCheck.openFiles(limit: .max).level == .ok)
        #expect(HealthCheck.freeSpace(bytes: 1 << 20, at: "/x").level == .warn)
        #expect(check.json["level"] == "warn")
    }
}
