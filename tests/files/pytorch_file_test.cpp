#include "lathe/files/pytorch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "lathe/files/pickle.h"
#include "lathe/files/zip_archive.h"
#include "tests/support/error_of.h"

namespace lathe {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

template <class T>
void append(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

/// A ZIP archive of stored files.
std::string archive_of(const std::vector<std::pair<std::string, std::string>>& files, uint16_t method = 0) {
  std::string all, directory;
  for (const auto& file : files) {
    const std::string &name = file.first, &content = file.second;
    auto local = uint32_t(all.size());
    auto fields = [&](std::string& to) {
      append(to, uint16_t{0}), append(to, method), append(to, uint32_t{0}), append(to, uint32_t{0});
      append(to, uint32_t(content.size())), append(to, uint32_t(content.size()));
      append(to, uint16_t(name.size())), append(to, uint16_t{0});
    };
    all += "PK\3\4"s, append(all, uint16_t{0}), fields(all), all += name + content;
    directory += "PK\1\2"s, append(directory, uint32_t{0}), fields(directory);
    directory.append(10, '\0'), append(directory, local), directory += name;
  }
  auto at = uint32_t(all.size());
  all += directory + "PK\5\6"s, append(all, uint32_t{0});
  append(all, uint16_t(files.size())), append(all, uint16_t(files.size()));
  append(all, uint32_t(directory.size())), append(all, at), append(all, uint16_t{0});
  return all;
}

std::string text_code(const std::string& value) {
  std::string code = "X";
  append(code, uint32_t(value.size()));
  return code + value;
}

/// What torch.save() writes of a tensor: strides and first element as given.
std::string tensor_code(const std::string& storage_type, const std::string& storage, int elements, int first,
                        const std::string& shape, const std::string& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text_code("storage") + "ctorch\n" + storage_type + "\n" +
         text_code(storage) + text_code("cpu") + "K" + char(elements) + "tQK" + char(first) + shape + strides +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}

std::string pickle_of(const std::string& items) { return "\x80\x02}(" + items + "u."; }

std::string file_of(const std::string& pickle, const std::string& storage) {
  return archive_of({{"m/data.pkl", pickle}, {"m/byteorder", "little"}, {"m/data/0", storage}});
}

std::string problem(const std::string& file) {
  return error_of([&] { parse_pytorch(bytes_of(file), "m.bin"); });
}

const std::string kPair = pickle_of(text_code("a") + tensor_code("HalfStorage", "0", 8, 2, "K\2K\3\x86", "K\3K\1\x86") +
                                    text_code("b") + tensor_code("HalfStorage", "0", 8, 0, "K\2\x85", "K\1\x85"));

TEST(PyTorchFile, HoldsTensorsThatShareAStorage) {
  const std::string file = file_of(kPair, "0123456789abcdef");
  std::vector<PyTorchTensor> tensors = parse_pytorch(bytes_of(file), "m.bin");
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].type->name, "F16");
  EXPECT_THAT(tensors[0].shape, ElementsAre(2, 3));
  EXPECT_EQ(text_of(tensors[0].bytes), "456789abcdef");
  EXPECT_EQ(text_of(tensors[1].bytes), "0123");
}

TEST(PyTorchFile, MayHoldTheTensorsOneLevelDown) {
  const std::string inner = "}(" + text_code("a") + tensor_code("ByteStorage", "0", 2, 0, "K\2\x85", "K\1\x85") + "u";
  const std::string file = file_of(pickle_of(text_code("epoch") + "K\3" + text_code("state_dict") + inner), "xy");
  EXPECT_EQ(parse_pytorch(bytes_of(file), "m.bin").at(0).name, "a");
}

TEST(PyTorchFile, MayBeOfALaterProtocol) {  // names of functions come in two texts since protocol 4
  auto name = [](const std::string& module, const std::string& function) {
    return "\x8c"s + char(module.size()) + module + "\x8c" + char(function.size()) + function + "\x93";
  };
  const std::string pickle = "\x80\x04}(" + text_code("a") + name("torch._utils", "_rebuild_tensor_v2") + "((" +
                             text_code("storage") + name("torch", "ByteStorage") + text_code("0") + text_code("cpu") +
                             "K\2tQK"s + '\0' + "K\2\x85K\1\x85\x89" + name("collections", "OrderedDict") + ")RtRu.";
  EXPECT_EQ(text_of(parse_pytorch(bytes_of(file_of(pickle, "xy")), "m.bin").at(0).bytes), "xy");
}

TEST(SlowPyTorchFile, IsRefusedWhenItIsABomb) {  // an instruction of a byte makes a value of sixty
  for (const std::string& bomb : {std::string(5 << 20, 'N'), "N" + std::string(5 << 20, '\x94')})
    EXPECT_THAT(error_of([&] { read_pickled_tensors(bytes_of("\x80\x02" + bomb), "m.bin"); }),
                HasSubstr("more values than any model's"));
}

TEST(PyTorchFile, ExecutesNothing) {
  for (const std::string& call :
       {"cposix\nsystem\n("s + text_code("touch /tmp/x") + "tR", "c__builtin__\neval\n("s + text_code("1") + "tR",
        "cos\nsystem\n)R"s, "cnumpy.core.multiarray\n_reconstruct\n)R"s})
    EXPECT_THAT(problem(file_of(pickle_of(text_code("a") + call), "")),
                AllOf(HasSubstr("m.bin: the pickle asks for "), HasSubstr("nothing is executed")))
        << call;
  EXPECT_THAT(problem(file_of("\x80\x02"
                              "cposix\nsystem\n.",
                              "")),
              HasSubstr("posix.system"));
  EXPECT_THAT(problem(file_of("\x80\x04\x8c\x05posix\x8c\x06system\x93.", "")), HasSubstr("posix.system"));
  EXPECT_THAT(problem(file_of("\x80\x02i__builtin__\nexec\n.", "")), HasSubstr("does more than hold tensors"));
}

TEST(PyTorchFile, RefusesTensorsThatAreNotInTheirStorage) {
  EXPECT_THAT(problem(file_of(kPair, "0123456789abcde")),
              AllOf(HasSubstr("\"a\" has 6 elements"), HasSubstr("holds 7")));
  EXPECT_THAT(problem(archive_of({{"m/data.pkl", kPair}})), HasSubstr("storage \"0\" is not in the file"));
  auto one = [](const std::string& code) { return file_of(pickle_of(text_code("t") + code), std::string(64, 'x')); };
  EXPECT_THAT(problem(one(tensor_code("FloatStorage", "0", 6, 0, "K\2K\3\x86", "K\1K\2\x86"))),
              HasSubstr("\"t\" is not contiguous"));
  EXPECT_THAT(problem(one(tensor_code("FloatStorage", "0", 6, 0, "J\xff\xff\xff\xff\x85", "K\1\x85"))),
              HasSubstr("\"t\" is not contiguous"));
  EXPECT_THAT(problem(one(tensor_code("QInt8Storage", "0", 6, 0, "K\2\x85", "K\1\x85"))), HasSubstr("QInt8Storage"));
}

TEST(PyTorchFile, RefusesWhatIsNoneCutOrDamaged) {
  const std::string file = file_of(kPair, "0123456789abcdef");
  for (size_t bytes = 0; bytes < file.size(); ++bytes)
    EXPECT_THAT(problem(file.substr(0, bytes)), HasSubstr("m.bin: ")) << bytes;
  for (size_t bytes = 2; bytes < kPair.size(); ++bytes)
    EXPECT_THAT(problem(file_of(kPair.substr(0, bytes), "0123456789abcdef")), HasSubstr("m.bin: ")) << bytes;
  EXPECT_THAT(problem(archive_of({{"m/data.pkl", kPair}}, 8)), HasSubstr("compressed"));
  EXPECT_THAT(problem(archive_of({{"x", ""}, {"x", ""}})), HasSubstr("twice"));
  EXPECT_THAT(problem(archive_of({{"m/data.pkl", kPair}, {"m/byteorder", "big"}})), HasSubstr("big-endian"));
  EXPECT_THAT(problem("\x80\x02\x8a\x0al\xfc\x9c"), HasSubstr("since PyTorch 1.6"));
}

TEST(PyTorchFile, RefusesPicklesThatCannotBeRead) {
  for (const std::string& bad : {"."s, "\x80\x02)."s, "\x80\x02h\5."s, "\x80\x02t."s, "\x80\x02(u."s, "\x80\x02}K\1s."s,
                                 "\x80\x02}b."s, "\x80\x02K\1Q."s, "\x80\x09."s, "\x80\x02)R."s, "\x80\x02}(K\1u."s})
    EXPECT_THAT(error_of([&] { read_pickled_tensors(bytes_of(bad), "m.bin"); }), HasSubstr("m.bin: a broken pickle"));
}

}  // namespace
}  // namespace lathe
