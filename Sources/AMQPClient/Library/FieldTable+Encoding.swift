import CRabbitMQ

extension ByteArena {
    /// Makes the library's form of a table, valid until the arena is reset.
    func table(_ table: AMQPTable) -> amqp_table_t {
        guard !table.isEmpty else { return amqp_table_t(num_entries: 0, entries: nil) }
        let entries = self.array(of: amqp_table_entry_t.self, count: table.count)
        for (index, entry) in table.entries.enumerated() {
            let value = self.value(entry.value)
            (entries + index).initialize(to: amqp_table_entry_t(key: self.bytes(entry.key), value: value))
        }
        return amqp_table_t(num_entries: Int32(table.count), entries: entries)
    }

    private func array(_ values: [AMQPValue]) -> amqp_array_t {
        guard !values.isEmpty else { return amqp_array_t(num_entries: 0, entries: nil) }
        let entries = self.array(of: amqp_field_value_t.self, count: values.count)
        for (index, value) in values.enumerated() { (entries + index).initialize(to: self.value(value)) }
        return amqp_array_t(num_entries: Int32(values.count), entries: entries)
    }

    private func value(_ value: AMQPValue) -> amqp_field_value_t {
        var result = amqp_field_value_t()
        func kind(_ kind: amqp_field_value_kind_t) { result.kind = UInt8(truncatingIfNeeded: kind.rawValue) }
        switch value {
        case .bool(let value):
            kind(AMQP_FIELD_KIND_BOOLEAN)
            result.value.boolean = value ? 1 : 0
        case .int8(let value):
            kind(AMQP_FIELD_KIND_I8)
            result.value.i8 = value
        case .uint8(let value):
            kind(AMQP_FIELD_KIND_U8)
            result.value.u8 = value
        case .int16(let value):
            kind(AMQP_FIELD_KIND_I16)
            result.value.i16 = value
        case .uint16(let value):
            kind(AMQP_FIELD_KIND_U16)
            result.value.u16 = value
        case .int32(let value):
            kind(AMQP_FIELD_KIND_I32)
            result.value.i32 = value
        case .uint32(let value):
            kind(AMQP_FIELD_KIND_U32)
            result.value.u32 = value
        case .int64(let value):
            kind(AMQP_FIELD_KIND_I64)
            result.value.i64 = value
        case .uint64(let value):
            kind(AMQP_FIELD_KIND_U64)
            result.value.u64 = value
        case .float(let value):
            kind(AMQP_FIELD_KIND_F32)
            result.value.f32 = value
        case .double(let value):
            kind(AMQP_FIELD_KIND_F64)
            result.value.f64 = value
        case .decimal(let scale, let value):
            kind(AMQP_FIELD_KIND_DECIMAL)
            result.value.decimal = amqp_decimal_t(decimals: scale, value: value)
        case .string(let value):
            kind(AMQP_FIELD_KIND_UTF8)
            result.value.bytes = self.bytes(value)
        case .bytes(let value):
            kind(AMQP_FIELD_KIND_BYTES)
            result.value.bytes = value.withUnsafeBytes { self.bytes($0) }
        case .timestamp(let value):
            kind(AMQP_FIELD_KIND_TIMESTAMP)
            result.value.u64 = value
        case .array(let values):
            kind(AMQP_FIELD_KIND_ARRAY)
            result.value.array = self.array(values)
        case .table(let table):
            kind(AMQP_FIELD_KIND_TABLE)
            result.value.table = self.table(table)
        case .null:
            kind(AMQP_FIELD_KIND_VOID)
        }
        return result
    }
}
