import Glibc

/// The entry point that libFuzzer calls with each input; `SHEAF_FUZZ_DECODER` names the group of decoders.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do throws(Violation) {
        try chosen.check(Array(UnsafeBufferPointer(start: data, count: count)))
    } catch {
        fatalError("\(error)")
    }
    return 0
}

private let chosen: Decoder = {
    let name = getenv("SHEAF_FUZZ_DECODER").map { String(cString: $0) } ?? ""
    guard let decoder = Decoder(rawValue: name) else {
        fatalError("SHEAF_FUZZ_DECODER must be one of \(Decoder.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return decoder
}()
