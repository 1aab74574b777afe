import Testing

@testable import SheafFlows

@Suite struct OutputBytesTests {
    @Test("Capped bytes keep the beginning")
    func keepsTheBeginning() {
        var bytes = CappedBytes(limit: 5)
        let fitted = [bytes.append([1, 2, 3]), bytes.append([4, 5]), bytes.append([6])]
        #expect(fitted == [true, true, false])
        #expect(bytes.bytes == [1, 2, 3, 4, 5])
    }

    @Test("Tail bytes keep the end", arguments: [1, 2, 3, 7, 50]) func keepsTheEnd(chunk: Int) {
        var bytes = TailBytes(limit: 5)
        let all = Array(UInt8(0)..<100)
        for start in stride(from: 0, to: 100, by: chunk) { bytes.append(all[start..<min(start + chunk, 100)]) }
        #expect(bytes.bytes == [95, 96, 97, 98, 99])
    }
}
