import SheafCore
import SheafSources
import SheafTestTools
import Testing

@testable import SheafDispatch

@Suite("Parts of the dispatcher")
struct DispatchPartsTests {
    @Test("Shared arguments are added to objects that do not have them")
    func arguments() throws {
        let shared = SharedArguments(["t": 0, "m": "x"])
        func merged(_ text: String, kind: Record.Kind = .json) -> String? {
            let record = Record(id: "r", kind: kind, bytes: Array(text.utf8))
            let item = shared.apply(to: SourceItem(index: 0, place: "r", content: .record(record)))
            guard case .record(let result) = item.content else { return nil }
            return String(decoding: result.bytes, as: UTF8.self)
        }
        #expect(merged("{}") == #"{"t":0,"m":"x"}"#)
        #expect(merged(#"{"a":1}"#) == #"{"t":0,"m":"x","a":1}"#)
        #expect(merged(#" { "t" : 2 } "#) == #" {"m":"x", "t" : 2 } "#)
        #expect(merged(#"{"\u0074":2,"m":null}"#) == #"{"\u0074":2,"m":null}"#)
        for bad in ["[1]", "1", "", "{", "{\"a\":1}x"] { #expect(merged(bad) == nil, "\(bad)") }
        #expect(merged("{}", kind: .text) == nil)
        let none = SharedArguments([:])
        let text = SourceItem(index: 0, place: "r", content: .record(Record(id: "r", kind: .text, bytes: [0x78])))
        #expect(none.apply(to: text) == text)
        let broken = SourceItem(index: 0, place: "r", content: .record(Record(id: "r", kind: .json, bytes: [0x78])))
        guard case .invalid = none.apply(to: broken).content else {
            Issue.record("a request that is not JSON became a record")
            return
        }
    }

    @Test("The value of a key is a string, a number or a flag")
    func keys() {
        let key = RequestKey("k")
        func value(_ text: String) -> String? {
            try? key.value(of: Record(id: "r", kind: .json, bytes: Array(text.utf8))).get()
        }
        #expect(value(#"{"k":"a"}"#) == "a")
        #expect(value(#"{"k":12345678901234567890}"#) == "12345678901234567890")
        #expect(value(#"{"k":true}"#) == "true")
        for none in [
            #"{"k":null}"#, #"{"k":[1]}"#, "{}", "[]", "x", #"{"k":"\#(String(repeating: "a", count: 257))"}"#,
        ] {
            #expect(value(none) == nil, "\(none.prefix(20))")
        }
    }

    @Test("Entries survive encoding, and foreign ones are ignored")
    func entries() {
        let cut = Cut(
            batch: "b1",
            key: "a",
            start: RequestPosition(log: 1, offset: 0),
            end: RequestPosition(log: 2, offset: 5),
            count: 7,
            arguments: ["t": 0]
        )
        var plain = cut
        plain.key = nil
        let entries: [DispatchEntry] = [
            .opened(log: 1, key: nil), .opened(log: 2, key: "k"), .cut(cut), .cut(plain), .dispatched("b1"),
            .flushed(RequestPosition(log: 3, offset: 9)), .deleted(log: 1),
        ]
        for entry in entries { #expect(DispatchEntry(entry.message) == entry) }
        for body in ["", "{}", "[]", #"{"log":0}"#, #"{"log":"x","batch":"last","position":[1]}"#, #"{"log":1e99}"#] {
            for type in ["opened", "cut", "dispatched", "flushed", "deleted", "other"] {
                #expect(DispatchEntry(Message(type: type, body: Array(body.utf8))) == nil, "\(type) \(body)")
            }
        }
    }

    @Test("The first of two decisions about the same requests counts")
    func contradictions() {
        var state = DispatchState()
        func apply(_ entry: DispatchEntry) -> Bool { state.apply(entry) }
        func cut(_ batch: Name, _ start: Int64, _ end: Int64, key: String? = nil) -> DispatchEntry {
            .cut(
                Cut(
                    batch: batch,
                    key: key,
                    start: RequestPosition(log: 1, offset: start),
                    end: RequestPosition(log: 1, offset: end),
                    count: 1,
                    arguments: [:]
                )
            )
        }
        #expect(!apply(cut("b0", 0, 1)), "no log is open")
        #expect(apply(.opened(log: 1, key: nil)))
        #expect(!apply(.opened(log: 1, key: "k")), "the first opening counts")
        #expect(state.key(of: 1) == nil)
        #expect(apply(cut("b1", 0, 10)))
        #expect(!apply(cut("b2", 0, 20)), "its requests are in b1")
        #expect(!apply(cut("b2", 11, 20)), "it leaves out a request")
        #expect(!apply(cut("b1", 10, 20)), "the id is taken")
        #expect(apply(cut("b3", 0, 10, key: "k")), "another key")
        #expect(apply(.dispatched("b1")))
        #expect(!apply(.dispatched("b1")))
        #expect(!apply(.deleted(log: 1)), "the log is open")
        #expect(apply(.opened(log: 2, key: nil)))
        #expect(!apply(.deleted(log: 1)), "b3 is not finished")
        #expect(apply(.dispatched("b3")))
        #expect(apply(.deleted(log: 1)))
        #expect(state.start(of: nil) == RequestPosition(log: 2, offset: 0))
        #expect(state.finished.map(\.batch) == ["b1", "b3"])
    }

    /// A request of a random stream.
    private struct Arrival {
        let position: RequestPosition
        let request: Record
        let key: String?
    }

    @Test("Groups divide random streams completely, in order and within the limits", arguments: 0..<40 as Range<UInt64>)
    func groups(seed: UInt64) throws {
        var random = SeededGenerator(state: seed)
        let limits = RequestScan.Limits(
            count: .random(in: 1...20, using: &random),
            bytes: .random(in: 10...200, using: &random)
        )
        var scan = RequestScan(from: 1, limits: limits, window: RepeatWindow(size: 1000))
        let key = RequestKey("k")
        var waiting: [Arrival] = []
        var taken: [Int] = []
        var number = 0
        for offset in 0..<Int64(300) {
            let letter = ["a", "b", "c"].randomElement(using: &random)!
            let isRepeat = Int.random(in: 0..<10, using: &random) == 0 && number > 0
            let id = isRepeat ? Int.random(in: 0..<number, using: &random) : number
            if !isRepeat { number += 1 }
            let body = Array(#"{"k":"\#(letter)","p":"\#(String(repeating: "x", count: id % 30))"}"#.utf8)
            let request = Record(id: "\(id)", kind: .json, bytes: body)
            scan.add(at: offset, request, time: Timestamp(milliseconds: 0), key: key) { _ in
                RequestPosition(log: 0, offset: 0)
            }
            let position = RequestPosition(log: 1, offset: offset)
            if isRepeat {
                // Only a repeat of the same letter has the same content.
                if scan.isRepeat(position) { continue }
                #expect(scan.isConflict(position))
            }
            waiting.append(Arrival(position: position, request: request, key: letter))
            #expect(scan.waiting.count == waiting.count)
            while Bool.random(using: &random),
                let (key, group) = scan.due(
                    before: Timestamp(milliseconds: -1),
                    flushed: RequestPosition(log: 0, offset: 0)
                )
            {
                try check(group, key, limits, &waiting)
                taken.append(group.count)
                scan.remove(key)
            }
        }
        while let (key, group) = scan.due(
            before: Timestamp(milliseconds: 0),
            flushed: RequestPosition(log: 0, offset: 0)
        ) {
            scan.close(key)
            try check(group, key, limits, &waiting)
            scan.remove(key)
        }
        #expect(waiting.isEmpty)
        #expect(scan.waiting == WaitingRequests())
        #expect(scan.readyCount == 0)
    }

    /// Checks a group against what waits, and removes it.
    private func check(
        _ group: RequestScan.Group,
        _ key: String?,
        _ limits: RequestScan.Limits,
        _ waiting: inout [Arrival]
    ) throws {
        let members = waiting.filter { $0.key == key && $0.position < group.end }
        #expect(members.count == group.count)
        #expect(members.first?.position == group.first)
        #expect(members.count <= limits.count)
        let bytes = members.reduce(0) { $0 + $1.request.bytes.count }
        #expect(bytes == group.bytes)
        #expect(bytes <= limits.bytes || members.count == 1)
        waiting.removeAll { $0.key == key && $0.position < group.end }
    }
}
