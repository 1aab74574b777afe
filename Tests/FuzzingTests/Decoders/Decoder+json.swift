import OrderedCollections
import SheafCore

extension Decoder {
    /// Checks that parsing and validating agree, and that a parsed value is written so that it parses to the same
    /// value.
    func checkJSON(_ bytes: [UInt8]) throws {
        let value = try? JSON.parse(bytes)
        let isValid = (try? JSON.validate(bytes)) != nil
        try require(isValid == (value != nil), "parse and validate disagree")
        let members = try? JSON.members(["id", "a", "record_id", "é"], of: bytes)
        try require(isValid == (members != nil), "members and validate disagree")
        let slices = try? JSON.slices(of: bytes)
        guard let value else {
            try require(slices == nil, "invalid JSON has slices")
            return
        }
        let written = value.bytes
        try require(try JSON.parse(written) == value, "a written value is parsed as another value")
        try require(try JSON.parse(written).bytes == written, "writing twice gives different texts")
        _ = (value.intValue, value.doubleValue, value.text)
        guard let object = value.objectValue else { return }
        guard let slices else { throw Violation("an object has no slices") }
        try require(Set(slices.map(\.name)) == Set(object.keys), "slices and object have different names")
        for (name, range) in Dictionary(slices.map { ($0.name, $0.range) }, uniquingKeysWith: { $1 }) {
            try require(try JSON.parse(Array(bytes[range])) == object[name], "the slice of '\(name)' is another value")
        }
        var line: [UInt8] = []
        JSON.writeOnOneLine(bytes, to: &line)
        try require(!line.contains(0x0A) && !line.contains(0x0D), "one line has a line break")
        try require(try JSON.parse(line) == value, "on one line, the value is another")
        let record = Record(id: "r", kind: .json, bytes: bytes)
        try require(try record.json == value, "the record is another value")
    }
}
