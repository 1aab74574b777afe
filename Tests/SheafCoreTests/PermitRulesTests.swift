import SheafCore
import Testing

@Suite("Permit rules") struct PermitRulesTests {
    /// Applies changes of a limit and returns which of all minted permits are still valid.
    static func valid(_ first: Int?, _ changes: [Int?]) -> (rules: PermitRules, valid: [Permit]) {
        var rules = PermitRules(limit: first)
        var minted = rules.minted.map { Permit(change: 0, number: $0) }
        for limit in changes {
            rules.change(to: limit)
            minted += rules.minted.map { Permit(change: rules.change, number: $0) }
        }
        return (rules, minted.filter(rules.isValid))
    }

    @Test(
        "The number of valid permits equals the limit",
        arguments: [
            (3, [5]), (5, [3]), (5, [3, 5]), (nil, [4]), (4, [nil, 4]), (4, [4]), (8, [2, 6, 1, 3]), (1, [nil]),
            (nil, [nil, 2]),
            (6, [2, 2, 9]),
        ] as [(Int?, [Int?])]
    )
    func validPermitsMatchTheLimit(first: Int?, changes: [Int?]) {
        let (rules, valid) = Self.valid(first, changes)
        #expect(valid.count == rules.limit ?? 0)
        #expect(Set(valid.map(\.number)) == Set(0..<(rules.limit ?? 0)))
    }

    @Test("The number of valid permits equals the limit after random changes", arguments: 0..<200)
    func randomChangesOfTheLimit(seed: UInt64) {
        var generator = Seeded(state: seed)
        let changes = (0..<Int.random(in: 1...12, using: &generator)).map { _ -> Int? in
            Bool.random(using: &generator) ? Int.random(in: 1...9, using: &generator) : nil
        }
        let (rules, valid) = Self.valid(4, changes)
        #expect(valid.count == rules.limit ?? 0)
        #expect(Set(valid.map(\.number)) == Set(0..<(rules.limit ?? 0)))
    }

    @Test("A higher limit keeps the existing permits valid") func aHigherLimitLeavesPermitsInUseAsTheyAre() {
        var rules = PermitRules(limit: 2)
        rules.change(to: 3)
        #expect(rules.minted == 2..<3)
        #expect(rules.isValid(Permit(change: 0, number: 1)))
        #expect(!rules.isValid(Permit(change: 0, number: 2)))
    }

    @Test("A permit is decoded as it was encoded, and other messages are rejected") func aPermitIsAMessage() {
        let permit = Permit(change: 3, number: 14)
        #expect(Permit(permit.message) == permit)
        for id in ["", "3", "3:", ":4", "-1:2", "a:b", "1:2:3"] {
            #expect(Permit(Message(id: id, type: Permit.messageType)) == nil)
        }
        #expect(Permit(Message(id: "1:2", type: "task")) == nil)
    }
}

@Suite("Index ranges") struct IndexRangesTests {
    @Test(
        "Ranges are parsed and written in normal form",
        arguments: [
            ("3,7-9", "3,7-9", 4), ("7-9,3", "3,7-9", 4), ("0", "0", 1), ("1,2,3", "1-3", 3), ("1-5,3-8", "1-8", 8),
            ("5,5", "5", 1),
        ]
    )
    func rangesAreReadAndWritten(text: String, written: String, count: Int) throws {
        let ranges = try #require(IndexRanges(text))
        #expect(ranges.description == written)
        #expect(ranges.count == count)
        #expect(IndexRanges(rising: ranges.indices) == ranges)
        for index in 0..<12 { #expect(ranges.contains(index) == ranges.indices.contains(index)) }
    }

    @Test(
        "Invalid ranges are rejected",
        arguments: ["", ",", "a", "3-", "-3", "9-7", "1 - 2", "1,,2", "99999999999999999999", "1000000000"]
    )
    func rubbishIsRefused(text: String) { #expect(IndexRanges(text) == nil) }
}
