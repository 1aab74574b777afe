import SheafCore
import Testing

@Suite("Pilots") struct PilotTests {
    private static let batch: Name = "b1"
    private static let ended = Pilot.Result(tasks: 2, succeeded: 1, failed: 1)
    private static let passed = Pilot.Result(tasks: 2, succeeded: 2, failed: 0, isPassed: true)

    private static func info(_ events: [JournalEntry.Event], pilot: Pilot? = Pilot(tasks: 2)) -> BatchInfo? {
        var state = JournalState()
        let created = JournalEntry.Event.created(options: BatchOptions(pilot: pilot), source: "", nonce: "n")
        for event in [created] + events {
            state.apply(JournalEntry(batch: batch, flow: "echo", at: Timestamp(milliseconds: 0), event: event))
        }
        return state[batch]
    }

    private static func outcomes(_ indices: [Int], _ status: Outcome.Status) -> ResultEvent {
        .outcomes(indices.map { OutcomeSummary(index: $0, generation: 0, status: status) }, unreadable: 0)
    }

    /// What may be the case after entries of the journal.
    struct Case: CustomTestStringConvertible {
        var events: [JournalEntry.Event]
        var isPiloting = false
        var awaitsResume = false
        var isPaused = false
        var takesRest = false

        var testDescription: String { events.map(\.type).joined(separator: ", ") }
    }

    static let cases = [
        Case(events: [], isPiloting: true),
        Case(events: [.published(count: 5)], isPiloting: true),
        Case(events: [.sealed(total: 5)], isPiloting: true),
        Case(events: [.sealed(total: 2)], takesRest: true),
        Case(events: [.sealed(total: 5), .paused], isPiloting: true, isPaused: true),
        Case(events: [.sealed(total: 5), .paused, .resumed(tolerated: 0)], isPiloting: true),
        Case(events: [.sealed(total: 5), .stopped(reason: "r"), .resumed(tolerated: 1)], isPiloting: true),
        Case(events: [.sealed(total: 5), .piloted(ended)], awaitsResume: true, isPaused: true),
        Case(events: [.piloted(ended), .sealed(total: 5)], awaitsResume: true, isPaused: true),
        Case(events: [.sealed(total: 5), .piloted(ended), .piloted(passed)], awaitsResume: true, isPaused: true),
        Case(events: [.sealed(total: 5), .piloted(ended), .resumed(tolerated: 0)], takesRest: true),
        Case(events: [.sealed(total: 5), .piloted(ended), .resumed(tolerated: 0), .piloted(ended)], takesRest: true),
        Case(
            events: [.sealed(total: 5), .piloted(ended), .resumed(tolerated: 0), .paused],
            isPaused: true,
            takesRest: true
        ),
        Case(events: [.sealed(total: 5), .piloted(passed)], takesRest: true),
        Case(events: [.sealed(total: 5), .paused, .piloted(passed)], isPaused: true, takesRest: true),
        Case(
            events: [
                .sealed(total: 5), .piloted(ended), .retried(generation: 1, nonce: "x", count: 1, tolerated: 0),
            ],
            awaitsResume: true,
            isPaused: true
        ),
        Case(events: [.sealed(total: 5), .cancelled(now: false)]),
    ]

    @Test("The journal says whether the tasks after a pilot may run", arguments: cases)
    func journal(expected: Case) throws {
        let info = try #require(Self.info(expected.events))
        #expect(info.isPiloting == expected.isPiloting)
        #expect(info.awaitsResume == expected.awaitsResume)
        #expect(info.isPaused == expected.isPaused)
        #expect(info.openQueues.contains(.rest) == expected.takesRest)
        #expect(info.queues.contains(.rest))
    }

    @Test("A batch without a pilot ignores the end of one, and has no queue for the rest")
    func noPilot() throws {
        let info = try #require(Self.info([.sealed(total: 5), .piloted(Self.ended)], pilot: nil))
        #expect(!info.isPaused && !info.isPiloting && !info.awaitsResume && info.pilotResult == nil)
        #expect(info.queues == [.generation(0)] && info.openQueues == [.generation(0)])
    }

    @Test("After a retry of a batch that has ended, no queue of the rest is left")
    func retriedAfterTheEnd() throws {
        let end = JournalEntry.Event.finished(
            generation: 0,
            endOffset: 7,
            counts: BatchCounts(succeeded: 4, failed: 1),
            startedAt: nil
        )
        let retry = JournalEntry.Event.retried(generation: 1, nonce: "x", count: 1, tolerated: 0)
        let events = [.sealed(total: 5), .piloted(Self.ended), .resumed(tolerated: 0), end, retry]
        let info = try #require(Self.info(events))
        #expect(info.queues == [.generation(1)] && info.openQueues == info.queues)
    }

    @Test("No more tasks of a pilot are expected once all of them are published, or the batch is sealed")
    func expected() throws {
        let published = try [0, 1, 2, 5].map { try #require(Self.info([.published(count: $0)])).expectsTasks }
        #expect(published == [true, true, false, false])
        #expect(Self.info([.sealed(total: 1)])?.expectsTasks == false)
        #expect(Self.info([.published(count: 5), .piloted(Self.passed)])?.expectsTasks == true)
        #expect(Self.info([.published(count: 5)], pilot: nil)?.expectsTasks == true)
    }

    @Test("A task after a pilot waits since the pilot let it go, or since it was published later")
    func waitingSince() throws {
        func since(_ last: [JournalEntry.Event], task: Int) -> Int64? {
            let first: [JournalEntry.Event] = [.published(count: 2), .published(count: 4)]
            var state = JournalState()
            let options = BatchOptions(pilot: Pilot(tasks: 2))
            let created = JournalEntry.Event.created(options: options, source: "", nonce: "n")
            for (minute, event) in ([created] + first + last).enumerated() {
                let at = Timestamp(milliseconds: Int64(minute) * 60_000)
                state.apply(JournalEntry(batch: Self.batch, flow: "echo", at: at, event: event))
            }
            return state[Self.batch]?.waitingSince(task: task).map { $0.milliseconds / 60_000 }
        }
        #expect(since([], task: 1) == 1)
        #expect(since([], task: 3) == 2)
        #expect(since([.piloted(Self.passed)], task: 3) == 3)
        #expect(since([.piloted(Self.ended), .resumed(tolerated: 0)], task: 3) == 4)
        #expect(since([.piloted(Self.passed), .published(count: 6)], task: 5) == 4)
        #expect(since([.piloted(Self.passed)], task: 5) == nil, "it is not published yet")
        #expect(since([.piloted(Self.ended), .sealed(total: 6), .resumed(tolerated: 0)], task: 3) == 5)
    }

    @Test("Only outcomes of the pilot's own tasks count for it, in any order of the entries")
    func settled() {
        let events: [ResultEvent] = [
            .pilot(tasks: IndexRanges(rising: [1, 4])), .pilot(tasks: IndexRanges(rising: [7])),
            Self.outcomes([1, 2], .succeeded), Self.outcomes([3, 7], .failed),
        ]
        for order in [events, events.reversed(), events + events] {
            var state = BatchState()
            for event in order { state.apply(event) }
            #expect(state.pilotCount == 3)
            #expect(state.settledOfPilot == BatchState.Settled(succeeded: 1, failed: 1))
            state.applySealed(total: 5)
            #expect(state.pilotCount == 2, "a task beyond the total does not exist")
        }
    }

    @Test("Entries about pilots are encoded and decoded") func wire() throws {
        for options in [Pilot(tasks: 20), Pilot(tasks: 1, pass: 95), Pilot(tasks: 100_000, pass: 99.5)] {
            #expect(BatchOptions(json: BatchOptions(pilot: options).json).pilot == options)
        }
        let usage = Usage(["input_tokens": 70])
        for result in [Self.ended, Self.passed, Pilot.Result(tasks: 3, succeeded: 3, failed: 0, usage: usage)] {
            let entry = JournalEntry(
                batch: Self.batch,
                flow: "echo",
                at: Timestamp(milliseconds: 5),
                event: .piloted(result)
            )
            #expect(JournalEntry(entry.message) == entry)
        }
        let tasks = IndexRanges(rising: [0, 1, 2, 9])
        #expect(ResultEvent(ResultMessage.pilot(batch: Self.batch, tasks: tasks)) == .pilot(tasks: tasks))
        var progress = BatchProgress(
            batch: Self.batch,
            total: 9,
            isSealed: true,
            settled: BatchState.Settled(),
            running: 0,
            startedAt: nil,
            offset: 3
        )
        #expect(BatchProgress(json: progress.json) == progress)
        progress.pilot = BatchState.Settled(succeeded: 4, failed: 2, invalid: 1)
        #expect(BatchProgress(json: progress.json) == progress)
    }

    @Test(
        "Invalid options of a pilot are ignored, and so is an entry that is not complete",
        arguments: [
            #"{"pilot":0}"#, #"{"pilot":-1}"#, #"{"pilot":100001}"#, #"{"pilot":"20"}"#, #"{"pilot":null}"#,
            #"{"pilot_pass":"5%"}"#,
        ]
    )
    func hostile(text: String) throws {
        #expect(BatchOptions(json: try JSON.parse(text)).pilot == nil)
        for body in [
            #"{"tasks":2,"succeeded":1,"passed":true}"#, #"{"tasks":-2,"succeeded":1,"failed":1,"passed":true}"#,
        ] {
            let message = Message(
                type: "piloted",
                headers: [.init("sheaf-batch", .string("b1")), .init("sheaf-flow", .string("echo"))],
                body: Array(body.utf8)
            )
            #expect(JournalEntry(message) == nil)
        }
        let broken = Message(type: "pilot", body: Array(#"{"tasks":"3-1"}"#.utf8))
        #expect(ResultEvent(broken) == .unknown)
    }

    @Test("A percentage decides whether a pilot passes", arguments: [(94, false), (95, true), (100, true)])
    func passing(succeeded: Int, isPassed: Bool) {
        #expect(Pilot(tasks: 100, pass: 95).isPassed(succeeded: succeeded) == isPassed)
        #expect(!Pilot(tasks: 100).isPassed(succeeded: succeeded))
    }

    @Test("Percentages are read", arguments: [("95%", 95), ("0%", 0), ("99.5%", 99.5), ("100%", 100)])
    func percentages(text: String, percentage: Double) {
        #expect(Pilot.percentage(text) == percentage)
        #expect(Pilot(tasks: 1, pass: percentage).passText == text)
    }

    @Test("What is no percentage is refused", arguments: ["", "95", "%", "101%", "-1%", "x%", "nan%", "inf%"])
    func noPercentages(text: String) { #expect(Pilot.percentage(text) == nil) }

    @Test("The whole batch is projected from the pilot") func projection() {
        let usage = Usage(["input_tokens": 1_000, "output_tokens": 3])
        let result = Pilot.Result(tasks: 20, succeeded: 19, failed: 1, usage: usage)
        #expect(result.failureRate == 0.05)
        #expect(result.projectedFailures(of: 1_010) == 51)
        #expect(result.projectedUsage(of: 1_010) == Usage(["input_tokens": 50_500, "output_tokens": 152]))
        let huge = Pilot.Result(tasks: 1, succeeded: 0, failed: 1, usage: Usage(["n": Usage.maximumAmount]))
        #expect(huge.projectedUsage(of: BatchState.maximumTasks) == huge.usage, "no sum overflows")
        #expect(Pilot.Result(tasks: 0, succeeded: 0, failed: 0).projectedFailures(of: 5) == 0)
    }

    @Test("Only tasks that may run count as waiting while a pilot is not over")
    func waiting() throws {
        func summary(_ events: [JournalEntry.Event], running: Int = 0, _ settled: BatchState.Settled) throws
            -> BatchSummary
        {
            let info = try #require(Self.info([.sealed(total: 9)] + events, pilot: Pilot(tasks: 4)))
            var progress = BatchProgress(
                batch: Self.batch,
                total: 9,
                isSealed: true,
                settled: settled,
                running: running,
                startedAt: nil,
                offset: 1
            )
            progress.pilot = settled
            return BatchSummary(info: info, progress: progress)
        }
        let none = BatchState.Settled()
        #expect(try summary([], none).openPending == 4)
        #expect(try summary([], running: 1, none).openPending == 3)
        #expect(try summary([], running: 1, BatchState.Settled(succeeded: 2, failed: 1)).openPending == 0)
        let all = BatchState.Settled(succeeded: 3, failed: 1)
        #expect(try summary([.piloted(Self.ended)], all).openPending == 0)
        #expect(try summary([.piloted(Self.ended), .resumed(tolerated: 0)], all).openPending == 5)
    }
}
