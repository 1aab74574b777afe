import SheafTestTools
import Testing

@testable import AMQPClient

struct UnsettledTagsTests {
    private func tags(delivered count: UInt64) -> UnsettledTags {
        var tags = UnsettledTags()
        let inOrder = (1...count).allSatisfy { tags.deliver($0) }
        #expect(inOrder)
        return tags
    }

    @Test("Tags without a gap are settled with one frame")
    func contiguousTags() {
        var tags = self.tags(delivered: 5)
        #expect(tags.claim([3, 1, 2]) == nil)
        #expect(tags.settle([3, 1, 2]) == UnsettledTags.Plan(upTo: 3, single: []))
        #expect(tags.count == 2)
    }

    @Test("Tags above a gap are settled one by one")
    func tagsAboveGap() {
        var tags = self.tags(delivered: 6)
        #expect(tags.claim([1, 2, 4, 5]) == nil)
        #expect(tags.settle([1, 2, 4, 5]) == UnsettledTags.Plan(upTo: 2, single: [4, 5]))
        #expect(tags.claim([3, 6]) == nil)
        #expect(tags.settle([3, 6]) == UnsettledTags.Plan(upTo: 6, single: []))
        #expect(tags.count == 0)
    }

    @Test("Claimed tags that are not sent yet are not covered by a frame")
    func claimedTagsNotCovered() {
        var tags = self.tags(delivered: 3)
        #expect(tags.claim([1]) == nil)
        #expect(tags.claim([2, 3]) == nil)
        #expect(tags.settle([2, 3]) == UnsettledTags.Plan(upTo: nil, single: [2, 3]))
    }

    @Test("A wrong tag changes nothing", arguments: [[2, 2], [4], [0], [3, 9]] as [[UInt64]])
    func wrongTag(wrong: [UInt64]) {
        var tags = self.tags(delivered: 3)
        #expect(tags.claim(wrong) != nil)
        #expect(tags.claim([1, 2, 3]) == nil)
    }

    @Test("A tag can be claimed only once")
    func claimedOnce() {
        var tags = self.tags(delivered: 2)
        #expect(tags.claim([1]) == nil)
        #expect(tags.claim([1]) == 1)
        _ = tags.settle([1])
        #expect(tags.claim([1]) == 1)
    }

    @Test("Tags above a gap wait until it closes")
    func tagsAboveGapWait() {
        var tags = self.tags(delivered: 6)
        #expect(tags.claim([1, 2, 4, 5]) == nil)
        let first = tags.settleCovered([1, 2, 4, 5])
        #expect(first?.upTo == 2)
        #expect(first?.count == 2)
        let none = tags.settleCovered([4, 5])
        #expect(none == nil)
        #expect(tags.claim([3]) == nil)
        let rest = tags.settleCovered([3, 4, 5])
        #expect(rest?.upTo == 5)
        #expect(rest?.count == 3)
        #expect(tags.count == 1)
        #expect(tags.span == 1)
    }

    @Test("Settling up to a tag finds the highest unsettled one")
    func settlesUpToTag() {
        var tags = self.tags(delivered: 4)
        #expect(tags.claim([3]) == nil)
        _ = tags.settle([3])
        #expect(tags.settle(upTo: 3) == 2)
        #expect(tags.settle(upTo: 3) == nil)
        #expect(tags.settle(upTo: .max) == 4)
        #expect(tags.count == 0)
    }

    @Test("Delivery tags must arrive in order")
    func tagsInOrder() {
        var tags = self.tags(delivered: 2)
        let isInOrder = [2, 4, 3].map { tags.deliver($0) }
        #expect(isInOrder == [false, false, true])
    }

    @Test("Frames settle exactly the requested tags", arguments: [1, 2, 3, 4] as [UInt64])
    func framesSettleRequestedTags(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var tags = UnsettledTags()
        var onBroker: Set<UInt64> = []
        var last: UInt64 = 0
        for _ in 0..<3_000 {
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                last += 1
                let isInOrder = tags.deliver(last)
                #expect(isInOrder)
                onBroker.insert(last)
            }
            let chosen = onBroker.filter { _ in Int.random(in: 0..<3, using: &random) != 0 }.shuffled(using: &random)
            #expect(tags.claim(chosen) == nil)
            let expected = onBroker.subtracting(chosen)
            let plan = tags.settle(chosen)
            if let upTo = plan.upTo { onBroker = onBroker.filter { $0 > upTo } }
            onBroker.subtract(plan.single)
            #expect(onBroker == expected)
            #expect(tags.count == onBroker.count)
        }
    }
}
