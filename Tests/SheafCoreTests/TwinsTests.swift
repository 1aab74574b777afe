import SheafCore
import Testing

@Suite("Twins") struct TwinsTests {
    /// A batch in which some tasks get the outcome of others, as random events and as a model of what they lead to.
    private struct Scene {
        let total: Int
        /// By index: the first of each twin.
        let firsts: [Int: Int]
        var generator: Seeded
        var state = BatchState()
        var twins = Twins()
        /// How each task ended in its present generation, as the model says.
        var ended: [Int: Outcome.Status] = [:]
        var generations: [Int: Int] = [:]
        var retries: [BatchInfo.Reopening] = []

        init(seed: UInt64) {
            generator = Seeded(state: seed)
            total = Int.random(in: 2...200, using: &generator)
            var firsts: [Int: Int] = [:]
            // The order of publishing is not that of the indexes.
            let order = (0..<total).shuffled(using: &generator)
            for (place, index) in order.enumerated().dropFirst() where Bool.random(using: &generator) {
                let distinct = order[..<place].filter { firsts[$0] == nil }
                firsts[index] = distinct.randomElement(using: &generator)
            }
            self.firsts = firsts
            state.applySealed(total: total)
        }

        /// Returns the messages of the creator in a random order, some of them twice.
        mutating func published() -> [Message] {
            let list = firsts.map { Twin(index: $0.key, first: $0.value, recordID: "r\($0.key)") }
                .shuffled(using: &generator)
            var messages = stride(from: 0, to: list.count, by: 7).map { start in
                Twin.message(batch: "b", list[start..<min(start + 7, list.count)])
            }
            messages += messages.filter { _ in Bool.random(using: &generator) }
            return messages.shuffled(using: &generator)
        }

        mutating func apply(_ message: Message) {
            let event = ResultEvent(message)
            state.apply(event)
            if case .twins(let list) = event { for twin in list { twins.add(twin) } }
            if Int.random(in: 0..<4, using: &generator) == 0 { checkpoint() }
        }

        /// Another reader continues from a checkpoint.
        mutating func checkpoint() {
            let restored = BatchState(snapshot: state.snapshot)
            #expect(restored == state)
            state = restored ?? state
        }

        /// Ends a task, and sometimes its twins at once, some of them twice.
        mutating func end(_ index: Int) {
            let status: Outcome.Status = Bool.random(using: &generator) ? .succeeded : .failed
            ended[index] = status
            let usage = status == .succeeded ? Usage(["tokens": 1]) : Usage()
            let generation = state.generation(of: index)
            state.apply(OutcomeSummary(index: index, generation: generation, status: status, usage: usage))
            // A second worker ran the same task, with another end.
            state.apply(OutcomeSummary(index: index, generation: generation, status: .failed))
            if Bool.random(using: &generator) { settle() }
        }

        /// What an aggregator writes: the outcomes of all twins that are due; another one may write them, too.
        mutating func settle() {
            for _ in 0...Int.random(in: 0...1, using: &generator) {
                var due: [OutcomeSummary] = []
                twins.forEach { twin, first in
                    guard state.isSettled(first), !state.isSettled(twin) else { return }
                    let status: Outcome.Status = state.standing(of: first) == .succeeded ? .succeeded : .failed
                    due.append(OutcomeSummary(index: twin, generation: state.generation(of: twin), status: status))
                }
                for outcome in due where Bool.random(using: &generator) { state.apply(outcome) }
            }
        }

        /// Retries some failed tasks, each with its whole group.
        mutating func retry() {
            let failed = ended.filter { $0.value == .failed && Bool.random(using: &generator) }.map(\.key)
            if failed.isEmpty { return }
            let opened = failed.flatMap { [$0] + Array(twins.twins(of: $0)) }.sorted()
            let generation = retries.count + 1
            let retry = BatchInfo.Reopening(generation: generation, nonce: "n\(generation)", count: opened.count)
            retries.append(retry)
            let tasks = IndexRanges(rising: opened)
            let entry = ResultEvent.reopened(generation: generation, nonce: retry.nonce, tasks: tasks)
            if Bool.random(using: &generator) {
                state.applyCommitted(retry)
                state.apply(entry)
            } else {
                state.apply(entry)
                state.applyCommitted(retry)
            }
            for index in failed { ended[index] = nil }
            for index in opened { generations[index] = generation }
        }
    }

    @Test("Twins end as their first does, whatever happens in which order", arguments: 0..<300)
    func counts(seed: UInt64) {
        var scene = Scene(seed: seed)
        let distinct = (0..<scene.total).filter { scene.firsts[$0] == nil }
        var messages = scene.published()[...]
        var successes = 0
        for _ in 0..<3 {
            for index in distinct.shuffled(using: &scene.generator) where scene.ended[index] == nil {
                // The creator may still publish while tasks end.
                if let message = messages.popFirst() { scene.apply(message) }
                scene.end(index)
                if scene.ended[index] == .succeeded { successes += 1 }
                if Int.random(in: 0..<5, using: &scene.generator) == 0 { scene.checkpoint() }
            }
            while let message = messages.popFirst() { scene.apply(message) }
            for _ in 0..<64 where scene.state.openTwins > 0 { scene.settle() }
            #expect(scene.state.openTwins == 0 && scene.state.settled.count == scene.total)
            for index in 0..<scene.total {
                let expected = scene.ended[scene.firsts[index] ?? index]
                #expect(scene.state.standing(of: index) == (expected == .succeeded ? .succeeded : .failed))
                #expect(scene.state.generation(of: index) == scene.generations[index] ?? 0)
                #expect(scene.twins.first(of: index) == scene.firsts[index])
                #expect(scene.state.isTwin(index) == (scene.firsts[index] != nil))
            }
            #expect(scene.state.usage["tokens"] == successes, "what a task used is not counted for its twins")
            #expect(scene.state.twinCount == scene.firsts.count && scene.twins.count == scene.firsts.count)
            scene.retry()
        }
    }

    @Test("All twins of a task are found") func groups() {
        var twins = Twins()
        for index in [9, 5000, 70_000, 12] { twins.add(Twin(index: index, first: 7, recordID: "")) }
        twins.add(Twin(index: 3, first: 8, recordID: ""))
        #expect(twins.twins(of: 7).sorted() == [9, 12, 5000, 70_000])
        #expect([8, 9, 1].map { Array(twins.twins(of: $0)) } == [[3], [], []])
        #expect(twins.hasTwins(7) && !twins.hasTwins(9) && !twins.hasTwins(99_999_999))
        var found: [Int] = []
        twins.forEach { twin, _ in found.append(twin) }
        #expect(found == [3, 9, 12, 5000, 70_000])
    }

    @Test("Entries that contradict earlier ones are ignored") func contradictions() {
        var twins = Twins()
        // The last three: it has another first, its first is a twin, and it is a first.
        let added = [(2, 1), (2, 0), (3, 2), (1, 0)].map { index, first in
            twins.add(Twin(index: index, first: first, recordID: ""))
        }
        #expect(added == [true, false, false, false])
        #expect(twins.count == 1 && Array(twins.twins(of: 1)) == [2])
    }

    @Test("A message of twins is read as it was written, and a damaged one is left out")
    func messages() {
        let list = [Twin(index: 1, first: 0, recordID: "a\"\n"), Twin(index: 99_999_999, first: 5, recordID: "")]
        #expect(ResultEvent(Twin.message(batch: "b", list)) == .twins(list))
        let many = (1...Twin.maximumCount + 1).map { Twin(index: $0, first: 0, recordID: "") }
        #expect(ResultEvent(Twin.message(batch: "b", many)) == .unknown)
        for entry in ["[1,1,\"r\"]", "[-1,0,\"r\"]", "[100000000,0,\"r\"]", "[1,0]", "[1,0,2]", "7", "{}"] {
            let message = Message(type: Twin.messageType, body: Array("{\"twins\":[\(entry)]}".utf8))
            #expect(ResultEvent(message) == .unknown, "\(entry)")
        }
    }

    @Test("A state without twins is written for earlier releases, too") func snapshots() {
        var state = BatchState()
        #expect(state.snapshot.first == 4)
        state.apply(.twins([Twin(index: 1, first: 0, recordID: "")]))
        #expect(state.snapshot.first == 5 && BatchState(snapshot: state.snapshot) == state)
    }

    @Test("An outcome of a twin names the task that ran") func outcomes() throws {
        let outcome = Outcome(
            index: 3,
            status: .succeeded,
            recordID: "r3",
            output: Array("1".utf8),
            startedAt: Timestamp(milliseconds: 0),
            finishedAt: Timestamp(milliseconds: 1),
            worker: "w",
            sameAs: 1
        )
        var line: [UInt8] = []
        outcome.writeLine(to: &line)
        #expect(try Outcome(line: line.dropLast()) == outcome)
        var row: [UInt8] = []
        outcome.writeRow(batch: "b", to: &row)
        #expect(try JSON.parse(row)["same_as"] == 1)
    }

    @Test(
        "The rule of a batch survives its journal",
        arguments: [nil, .records, .fields(["a", "b c"])] as [Deduplication?]
    )
    func options(rule: Deduplication?) {
        #expect(BatchOptions(json: BatchOptions(deduplication: rule).json).deduplication == rule)
    }

    @Test("What is not a rule is not taken for one", arguments: ["false", "1", "[]", "[1]", "[\"\"]", "\"a\"", "{}"])
    func noRules(text: String) throws {
        #expect(Deduplication(json: try JSON.parse(text)) == nil)
    }
}
