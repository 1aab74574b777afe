import SheafTestTools
import Testing

@testable import AMQPClient

struct ConfirmTrackerTests {
    @Test("Confirms settle single messages and several at once")
    func settlesSingleAndMultiple() {
        var tracker = ConfirmTracker<String>()
        let numbers = (1...10).map { tracker.record("m\($0)") }
        #expect(numbers == Array(1...10))
        var settled: [String] = []
        let known = [
            tracker.settle(3, multiple: false) { owner, _ in settled.append(owner) },
            tracker.settle(5, multiple: true) { owner, _ in settled.append(owner) },
        ]
        #expect(known == [true, true])
        #expect(settled == ["m3", "m1", "m2", "m4", "m5"])
        #expect(tracker.count == 5)
    }

    @Test("A message is settled only once")
    func settlesOnce() {
        var tracker = ConfirmTracker<Int>()
        _ = tracker.record(1)
        _ = tracker.record(2)
        var count = 0
        let known = (1...2).map { _ in tracker.settle(2, multiple: true) { _, _ in count += 1 } }
        #expect(known == [true, true])
        #expect(count == 2)
    }

    @Test("The number 0 with multiple settles all messages")
    func zeroWithMultiple() {
        var tracker = ConfirmTracker<Int>()
        for number in 1...5 { _ = tracker.record(number) }
        var settled: [Int] = []
        let isKnown = tracker.settle(0, multiple: true) { owner, _ in settled.append(owner) }
        #expect(isKnown)
        #expect(settled == [1, 2, 3, 4, 5])
    }

    @Test(
        "Numbers that were never used are refused",
        arguments: [(0, false), (3, false), (3, true)] as [(UInt64, Bool)]
    )
    func refusesUnusedNumbers(tag: UInt64, multiple: Bool) {
        var tracker = ConfirmTracker<Int>()
        _ = tracker.record(1)
        _ = tracker.record(2)
        let isKnown = tracker.settle(tag, multiple: multiple) { _, _ in Issue.record("settled") }
        #expect(!isKnown)
        #expect(tracker.count == 2)
    }

    @Test("Every message is settled once, in any order", arguments: [1, 2, 3, 5, 8] as [UInt64])
    func anyOrder(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var tracker = ConfirmTracker<Int>()
        var open: Set<UInt64> = []
        var outcomes: [UInt64: Int] = [:]
        for step in 0..<5_000 {
            if open.isEmpty || Bool.random(using: &random) {
                open.insert(tracker.record(step))
            } else if let tag = open.randomElement(using: &random) {
                let multiple = Int.random(in: 0..<50, using: &random) == 0
                let expected: Set<UInt64> = multiple ? open.filter { $0 <= tag } : [tag]
                var settled: Set<UInt64> = []
                let isKnown = tracker.settle(tag, multiple: multiple) { _, number in settled.insert(number) }
                #expect(isKnown)
                #expect(settled == expected)
                for number in settled { outcomes[number, default: 0] += 1 }
                open.subtract(settled)
            }
            #expect(tracker.count == open.count)
        }
        #expect(outcomes.values.allSatisfy { $0 == 1 })
    }

    @Test("Returns are matched in order, and the search wraps around")
    func returnsInOrder() {
        var tracker = ConfirmTracker<String>()
        for owner in ["a", "b", "a", "c"] { _ = tracker.record(owner) }
        let found = ["a", "a", "b", "d"].map { wanted in tracker.matchReturn { owner, _ in owner == wanted }?.tag }
        #expect(found == [1, 3, 2, nil])
    }
}
