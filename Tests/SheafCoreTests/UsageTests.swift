import OrderedCollections
import SheafCore
import Testing

/// Tests of the usage of tasks and its sum over a batch.
@Suite("Usage") struct UsageTests {
    private static let usage = Usage(["input_tokens": 12, "output_tokens": 3])

    private func outcome(_ index: Int, _ usage: Usage, status: Outcome.Status = .succeeded, generation: Int = 0)
        -> Outcome
    {
        Outcome(
            index: index,
            generation: generation,
            status: status,
            recordID: "r",
            output: status == .succeeded ? Array("1".utf8) : nil,
            startedAt: Timestamp(milliseconds: 0),
            finishedAt: Timestamp(milliseconds: 0),
            worker: "w",
            usage: usage
        )
    }

    @Test(
        "An outcome line contains the usage",
        arguments: [
            usage, Usage(), Usage(["ä \"quoted\"": 5]), Usage(["a": Usage.maximumAmount]), Usage(["a1": 0, "b": 7]),
        ]
    )
    func linesContainUsage(usage: Usage) throws {
        var line: [UInt8] = []
        outcome(7, usage).writeLine(to: &line)
        #expect(try Outcome(line: Array(line.dropLast())).usage == usage)
        let message = Message(type: ResultMessage.outcomesType, contentType: "application/x-ndjson", body: line)
        #expect(
            ResultMessage.summaries(of: message).outcomes == [
                OutcomeSummary(index: 7, status: .succeeded, usage: usage)
            ]
        )
    }

    @Test("The usage of each success counts once") func everySuccessCountsOnce() {
        var state = BatchState()
        state.apply(outcome(0, Self.usage).summary)
        state.apply(outcome(0, Self.usage).summary)
        state.apply(outcome(1, Self.usage, status: .failed).summary)
        state.apply(outcome(2, Usage(["pages": 1, "input_tokens": 8])).summary)
        let sum = Usage(["input_tokens": 20, "output_tokens": 3, "pages": 1])
        #expect(state.usage == sum)
        #expect(BatchState(snapshot: state.snapshot)?.usage == sum)
    }

    @Test("Foreign amounts are limited") func foreignAmountsAreBounded() {
        let many = JSONValue.object(OrderedDictionary(uniqueKeysWithValues: (0..<100).map { ("n\($0)", .integer($0)) }))
        #expect(Usage(json: many).amounts.count == Usage.maximumNames)
        #expect(
            Usage(json: ["a": -1, "b": 0.5, "c": "1", "d": 99_999_999_999_999_999]) == Usage(["d": Usage.maximumAmount])
        )
        var sum = Usage(["a": Usage.maximumAmount])
        sum += Usage(["a": Usage.maximumAmount])
        #expect(sum["a"] == Usage.maximumAmount)
    }
}
