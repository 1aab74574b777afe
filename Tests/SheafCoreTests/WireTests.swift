import OrderedCollections
import SheafCore
import Testing

@Suite("Wire formats") struct WireTests {
    let flow: Name = "echo"
    let batch: Name = "b-1"

    static let outcomes: [Outcome] = {
        let start = Timestamp(milliseconds: 1_700_000_000_001)
        let end = Timestamp(milliseconds: 1_700_000_000_999)
        func make(_ index: Int, _ status: Outcome.Status) -> Outcome {
            Outcome(
                index: index,
                status: status,
                recordID: "in.jsonl:\(index)",
                startedAt: start,
                finishedAt: end,
                worker: "host:1"
            )
        }
        var succeeded = make(0, .succeeded)
        succeeded.output = Array(#"{"a":[1,"x\n"]}"#.utf8)
        var json = make(1, .failed)
        json.error = Outcome.Failure(type: "exit-code", message: "exit code 3: \"quoted\"\nline")
        json.record = Record(id: "in.jsonl:1", kind: .json, bytes: Array(#"{"id":1}"#.utf8))
        json.parameters = #"{"lang":"en"}"#
        json.attempts = 3
        json.generation = 2
        var text = make(2, .failed)
        text.error = Outcome.Failure(type: "timeout", message: "")
        text.record = Record(id: "in.jsonl:2", kind: .text, bytes: Array("a \"b\"\n".utf8))
        return [succeeded, json, text, make(3, .cancelled)]
    }()

    @Test("Outcomes are decoded as they were encoded", arguments: outcomes)
    func outcomesSurviveTheWire(outcome: Outcome) throws {
        var line: [UInt8] = []
        outcome.writeLine(to: &line)
        #expect(line.last == UInt8(ascii: "\n"))
        #expect(line.count { $0 == UInt8(ascii: "\n") } == 1)
        #expect(try Outcome(line: Array(line.dropLast())) == outcome)
        let message = ResultMessage.outcomes(batch: batch, lines: line)
        #expect(ResultMessage.summaries(of: message).outcomes == [outcome.summary])
        #expect(ResultMessage.outcomes(of: message) == [outcome])
    }

    @Test("Sightings are decoded as they were encoded") func sightingsSurviveTheWire() {
        let sighting = DeadLetterSighting(last: 17, at: Timestamp(milliseconds: 1_700_000_000_001))
        #expect(DeadLetterSighting(sighting.message) == sighting)
        var dead = sighting.message
        dead.headers.append(.init(DeathHeaders.reason, .string("rejected")))
        #expect(DeadLetterSighting(dead) == nil)
        var late = sighting.message
        late.headers[1] = .init("sheaf-at", .string("soon"))
        #expect(DeadLetterSighting(late) == nil)
        #expect(DeadLetterSighting(Dismissal.before(17).message) == nil)
        #expect(Dismissal(sighting.message) == nil)
    }

    @Test("Summaries are read from lines that other programs write") func summariesReadWhatOthersWrite() {
        let lines = [
            #"{ "status": "succeeded", "index": 5, "output": null }"#,
            #"{"index":6,"generation":0,"status":"failed","error":{"type":"invalid-record","message":"m"}}"#,
            #"{"index":"x"}"#, "rubbish", #"{"index":7,"generation":1,"status":"succeeded","output":1}"#,
            #"{"index":99999999999,"generation":0,"status":"succeeded","output":1}"#,
        ]
        let message = ResultMessage.outcomes(batch: batch, lines: Array(lines.joined(separator: "\n").utf8))
        let (outcomes, unreadable) = ResultMessage.summaries(of: message)
        #expect(
            outcomes == [
                OutcomeSummary(index: 5, status: .succeeded),
                OutcomeSummary(index: 6, status: .failed, isInvalidRecord: true),
                OutcomeSummary(index: 7, generation: 1, status: .succeeded),
            ]
        )
        #expect(unreadable == 3)
    }

    @Test("Tasks are decoded as they were encoded") func tasksSurviveTheWire() throws {
        let record = Record(id: "r", kind: .text, bytes: [0xC3, 0xA4])
        let task = BatchTask(
            flow: flow,
            batch: batch,
            index: 12,
            generation: 1,
            attempt: 3,
            record: record,
            parameters: #"{"a":1}"#
        )
        #expect(try BatchTask(task.message) == task)
        #expect(task.message.id == "b-1:12")
    }

    @Test("Foreign messages are rejected as tasks") func foreignMessagesAreNotTasks() {
        let good = BatchTask(flow: flow, batch: batch, index: 0, record: Record(id: "r", kind: .json, bytes: []))
            .message
        var changed: [Message] = [Message(), Message(type: "task")]
        for (name, value) in [
            ("sheaf-index", Message.HeaderValue.string("x")), ("sheaf-index", .integer(-1)),
            ("sheaf-index", .integer(.max)),
            ("sheaf-batch", .string("../x")), ("sheaf-flow", .bool(true)),
            ("sheaf-record", .string(String(repeating: "x", count: 600))),
        ] {
            var message = good
            message.headers.removeAll { $0.name == name }
            message.headers.append(.init(name, value))
            changed.append(message)
        }
        for message in changed { #expect(throws: UnreadableMessage.self) { try BatchTask(message) } }
    }

    @Test("Rows have the documented columns") func rowsHaveTheColumnsTheContractNames() throws {
        for outcome in Self.outcomes {
            var row: [UInt8] = []
            outcome.writeRow(batch: batch, to: &row)
            let keys = try #require(try JSON.parse(row).objectValue).keys
            #expect(
                Array(keys) == [
                    "batch_id", "index", "record_id", "status", "output", "error", "attempts", "started_at",
                    "finished_at",
                    "worker",
                ]
            )
        }
    }

    @Test("Progress and heartbeats are decoded as they were encoded") func progressAndHeartbeatsSurviveTheWire() {
        let progress = BatchProgress(
            batch: batch,
            total: 10,
            isSealed: true,
            settled: BatchState.Settled(succeeded: 3, failed: 2, invalid: 1),
            running: 4,
            startedAt: Timestamp(milliseconds: 77),
            offset: 12
        )
        let copied = [batch: CopyPosition(offset: 11, stops: 2, finished: 1)]
        let message = ProgressMessage(at: Timestamp(milliseconds: 5), batches: [progress], copied: copied)
        #expect(ProgressMessage(message.message) == message)
        let heartbeat = Heartbeat(worker: "w", running: [batch: [1, 5, 9]], bulks: [batch: ["x": 50_000, "y": 1]])
        #expect(Heartbeat(heartbeat.message) == heartbeat)
        #expect(Heartbeat(Message(type: "running", body: [1])) == nil)
    }
}
