import Testing

@testable import SheafSources

@Suite("Permutation")
struct PermutationTests {
    @Test("A permutation contains every number once, for any size and seed")
    func isOneToOne() {
        var generator = SplitMix64(seed: 11)
        let sizes = Array(0...40) + (0..<40).map { _ in generator.next(below: 5000) } + [65_536, 65_537]
        for size in sizes {
            let order = Permutation(count: size, seed: generator.next())
            let seen = Set((0..<size).map { order[$0] })
            #expect(seen.count == size)
            #expect(seen.allSatisfy { (0..<max(size, 1)).contains($0) })
        }
    }

    @Test("Equal seeds lead to the same permutation, and different seeds to different ones")
    func followsTheSeed() {
        let places = 0..<100
        let first = places.map { Permutation(count: 100, seed: 1)[$0] }
        #expect(places.map { Permutation(count: 100, seed: 1)[$0] } == first)
        #expect(places.map { Permutation(count: 100, seed: 2)[$0] } != first)
        #expect(first != Array(places))
    }

    @Test("Every number occurs at every position about equally often", arguments: [2, 3, 5, 12])
    func isFair(size: Int) {
        let turns = 6000
        var hits = [[Int]](repeating: [Int](repeating: 0, count: size), count: size)
        for seed in 0..<turns {
            let order = Permutation(count: size, seed: UInt64(seed))
            for place in 0..<size { hits[place][order[place]] += 1 }
        }
        let fair = turns / size
        for hit in hits.joined() { #expect((fair * 7 / 10...fair * 13 / 10).contains(hit)) }
    }

    @Test("The random number generator does not change between versions")
    func isPinned() {
        let order = Permutation(count: 10, seed: 42)
        #expect(Set((0..<10).map { order[$0] }).count == 10)
        var generator = SplitMix64(seed: 0)
        #expect(generator.next() == 0xE220_A839_7B1D_CDAF)
    }
}
